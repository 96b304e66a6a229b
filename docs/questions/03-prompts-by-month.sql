-- 3. Prompts by month and application: how many, by how many people, how many of them automatic
select strftime(created_at, '%Y-%m') as month, app,
  count(*) as prompts, count(distinct user_id) as people, count(automatic_reason) as automatic
from interaction
where role = 'prompt' and is_latest
group by all
order by month, prompts desc, app;
