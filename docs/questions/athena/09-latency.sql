-- 9. How long answers take, by application
-- over interaction
select app, count(*) as answered, approx_percentile(latency_ms, 0.5) as median_ms, approx_percentile(latency_ms, 0.95) as p95_ms
from (
  select p.app, date_diff('millisecond', p.created_at, min(a.created_at)) as latency_ms
  from interaction p
  join interaction a on a.user_id = p.user_id and a.request_id = p.request_id and a.role = 'response' and a.is_latest
  where p.role = 'prompt' and p.is_latest and coalesce(a.text, '') not like 'Searching%…'
  group by p.app, p.user_id, p.request_id, p.created_at
)
group by 1
order by 1;
