-- 10. Prompts without an answer, and answers without a prompt
select upn, session_id, app, coalesce(prompted_at, answered_at) as at_time,
  if(answers = 0, 'no answer', 'no prompt') as what, coalesce(prompt, answer) as text
from turn
where answers = 0 or prompts = 0
order by at_time, upn, turn_id;
