-- 11. Items that have several texts: edited, or shown anew
select upn, session_id, id, count(*) as texts, list(etag order by version_no) as etags
from interaction
where session_id is not null and id is not null
group by tenant_id, user_id, upn, session_id, id
having count(*) > 1
order by upn, session_id, id;
