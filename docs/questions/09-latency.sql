-- 9. How long answers take, by application
select app, count(*) as answered, quantile_cont(latency_ms, 0.5) as median_ms, quantile_cont(latency_ms, 0.95) as p95_ms
from turn
where latency_ms is not null
group by app
order by app;
