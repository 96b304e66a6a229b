-- 1. Everything a person asked and was told, in a span of time
-- over interaction
select p.created_at as prompted_at, a.created_at as answered_at, p.app, p.text as prompt, a.text as answer
from interaction p
left join interaction a on a.user_id = p.user_id and a.request_id = p.request_id and a.role = 'response' and a.is_latest
where p.role = 'prompt' and p.is_latest
  and p.created_at >= timestamp '2026-01-01 00:00:00 UTC' and p.created_at < timestamp '2027-01-01 00:00:00 UTC'
order by p.created_at, a.created_at;
