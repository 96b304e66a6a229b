-- 10. Prompts without an answer, and answers without a prompt
-- over interaction
select user_id, session_id, app, created_at as at_time, if(role = 'prompt', 'no answer', 'no prompt') as what, text
from interaction i
where is_latest and role <> 'other' and request_id is not null
  and request_id not in (
    select o.request_id from interaction o
    where o.is_latest and o.request_id is not null and o.role in ('prompt', 'response')
    group by o.request_id having count(distinct o.role) = 2)
order by 4, 1;
