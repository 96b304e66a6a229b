-- 7. Which documents did answers cite, and to how many people: a review of what is shared too widely
-- over interaction
select json_extract_scalar(l, '$.linkUrl') as url, count(*) as answers, count(distinct user_id) as people
from interaction cross join unnest(cast(json_extract(line, '$.interaction.links') as array(json))) as t(l)
where role = 'response' and is_latest and not regexp_like(json_extract_scalar(l, '$.linkUrl'), '[&?]EntityRepresentationId=[A-Za-z0-9-]*$')
group by 1
order by 3 desc, 2 desc, 1
limit 50;
