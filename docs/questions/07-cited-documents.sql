-- 7. Which documents did answers cite, and to how many people: a review of what is shared too widely
select link.url as url, any_value(link.name) as name, count(*) as answers, count(distinct user_id) as people
from (select user_id, unnest(links) as link from interaction where role = 'response' and is_latest)
group by link.url
order by people desc, answers desc, url
limit 50;
