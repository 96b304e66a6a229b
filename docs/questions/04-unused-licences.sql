-- 4. Licences that nobody used for 30 days
-- Prompts that a rule calls automatic are no use; the days end with the newest run.
with used as (
  select user_id, max(created_at) as last_prompt from interaction
  where role = 'prompt' and is_latest and automatic_reason is null
  group by all
)
select upn, last_prompt
from person left join used using (user_id)
where licensed and last_licensed = (select max(last_licensed) from person)
  and coalesce(last_prompt < (select max(started_at) from run) - interval 30 day, true)
order by last_prompt nulls first, upn;
