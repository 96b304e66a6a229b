-- 5. Is the newest daily run complete, and if not, for whom and why
-- over run_user
select run_user.run_id, complete, class, reason, count(*) as people
from run_user join run on run.run_id = run_user.run_id
where run_user.run_id = (select max(run_id) from run where kind = 'daily' and regexp_like(run_id, '^\d{8}T\d{6}Z$'))
group by 1, 2, 3, 4
order by 3, 4;
