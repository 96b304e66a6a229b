-- 11. Items that have several texts: edited, or shown anew
-- over interaction
select user_id, session_id, id, count(*) as texts, array_agg(etag order by length(etag), etag, fetched_at) as etags
from interaction
where session_id is not null and id is not null
group by 1, 2, 3
having count(*) > 1
order by 1, 2, 3;
