-- 5. Is the newest daily run complete, and if not, for whom and why
select run_id, complete, class, reason, count(*) as people
from run_user join run using (run_id)
where run_id = (select max(run_id) from run where kind = 'daily' and scheduled)
group by all
order by class nulls first, reason nulls first;
