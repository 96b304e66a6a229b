-- 8. Which files and meetings were open when somebody asked
-- over interaction
select json_extract_scalar(c, '$.contextType') as kind, json_extract_scalar(c, '$.displayName') as name,
  count(*) as prompts, count(distinct user_id) as people
from interaction cross join unnest(cast(json_extract(line, '$.interaction.contexts') as array(json))) as t(c)
where role = 'prompt' and is_latest
group by 1, 2
order by 3 desc, 1, 2;
