-- 8. Which files and meetings were open when somebody asked
select context.type as kind, context.name as name, count(*) as prompts, count(distinct user_id) as people
from (select user_id, unnest(contexts) as context from interaction where role = 'prompt' and is_latest)
group by all
order by prompts desc, kind, name;
