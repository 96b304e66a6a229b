-- 12. How late items arrive, by application, and since when there is that application
-- History runs read old items; they say nothing of lateness.
select app_class, min(created_at) as first_created, count(*) as items,
  count(*) filter (kind <> 'history') as items_of_days,
  quantile_cont(lateness_s / 3600, 0.5) filter (kind <> 'history') as median_hours,
  max(lateness_s / 3600) filter (kind <> 'history') as most_hours
from interaction left join run using (run_id)
group by app_class
order by first_created desc nulls last, app_class;
