-- 12. How late items arrive, by application, and since when there is that application
-- over interaction
select app_class, min(created_at) as first_created, count(*) as items,
  count_if(run_id not like '%-history') as items_of_days,
  approx_percentile(case when run_id not like '%-history' then date_diff('second', created_at, fetched_at) end, 0.5) / 3600e0 as median_hours,
  max(case when run_id not like '%-history' then date_diff('second', created_at, fetched_at) end) / 3600e0 as most_hours
from interaction
group by 1
order by 2 desc nulls last, 1;
