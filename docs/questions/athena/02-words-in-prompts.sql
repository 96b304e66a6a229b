-- 2. Who put certain words into a prompt: a code name, a number of an identity card, a private key
-- over interaction
select user_id, created_at, app, text
from interaction
where role = 'prompt' and is_latest
  and regexp_like(text, '(?i)risk register|BEGIN [A-Z ]*PRIVATE KEY|\b\d{3}-\d{2}-\d{4}\b')
order by created_at;
