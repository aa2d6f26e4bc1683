// Package ecstest is a double of Amazon ECS to test deployments with: the
// API over HTTP (AWS JSON 1.1), and behind it one state machine for services,
// deployments and tasks, driven by whatever TaskRuntime really or seemingly
// runs the tasks.
//
// Time is only ever read from package time, so that a whole rollout runs in
// microseconds inside testing/synctest (see Transport), and in real time when
// served over a socket. What the double does by itself depends on nothing but
// the calls and their times: a seed replays to the letter.
//
// Beside ECS it answers CloudWatch Logs' GetLogEvents, at the same endpoint,
// with what its tasks printed through the awslogs driver.
//
// # How to test a deployment with it
//
// Make a [Double] with the stories of the tasks ([Script]), put a service there
// ([Double.Seed]), and let the tool under test deploy: over a socket (the Double
// is an http.Handler; AWS_ENDPOINT_URL_ECS points any tool at it), or in virtual
// time, where half an hour of ECS takes milliseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		double := ecstest.New(ecstest.Options{
//			Runtime: ecstest.Script{"shop:2": {Pull: 20 * time.Second, Crash: true, After: 2 * time.Second, Code: 1}},
//			Limits:  ecstest.ECSLimits(),
//			MaxLag:  time.Minute,
//		})
//		defer double.Close()
//		// … Seed a service on shop:1 …
//		cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(double)}
//		double.Fault(func(op string, n int) ecstest.Fault {
//			switch {
//			case op == "UpdateService" && n == 1:
//				return ecstest.Fault{Cut: ecstest.CutAfter} // done, and the answer is lost
//			case op == "StopTask":
//				return ecstest.Deny(op) // by IAM
//			case strings.HasPrefix(op, "Describe"):
//				return ecstest.Fault{Lag: 3 * time.Second} // reads lag behind writes
//			}
//			return ecstest.Fault{}
//		})
//		// … deploy shop:2, then compare with the truth, which no fault distorts:
//		all := double.Outcome("default", "shop")
//		if got := all[len(all)-1].Verdict; got != ecstest.RolledBack { … }
//	})
//
// What can go wrong: tasks that cannot be placed, pulled or started, crash,
// never become healthy or cease to be, ignore SIGTERM ([Story]); calls that are
// throttled, fail, hang, are cut before or after their effect, are denied, find
// nothing (failures[]) or see the past ([Fault]); request limits ([Limit]);
// hooks that fail or pause ([Options].Hook); alarms ([Double.Alarm]). Events are
// capped at 100, stopped tasks vanish after an hour, as in ECS.
// [Double.Calls] and [Double.Counts] tell what a tool costs.
//
// # Where its behaviour comes from
//
// Shapes, enum values, errors of each operation, limits of each parameter,
// which parameters start a deployment, the breaker's threshold and
// earlySuccessCriteria follow the service model and are checked against the
// models of both SDKs. Three readings of ECS are not in any model, and are
// documented or seen in its answers:
//
//   - failedTasks counts what did not reach RUNNING, ended before it was
//     healthy or failed a health check, and goes back to 0 with each task that
//     runs well; a crash of such a task is not counted, nor held back.
//   - BLUE_GREEN, LINEAR and CANARY: green gets its whole count before any
//     traffic, blue keeps its own until CLEAN_UP; a roll-back makes blue the
//     PRIMARY again under its old id.
//   - A roll-back has no service deployment of its own: the failed one goes on
//     through ROLLBACK_REQUESTED and ROLLBACK_IN_PROGRESS, and a PRIMARY with
//     a new id runs the source revision with new tasks. Where none completed
//     before, it ends as ROLLBACK_FAILED.
//
// The wording of events, stop reasons and rollout state reasons is ECS's;
// that of the status reasons of STOPPED service deployments is not known.
//
// Not there: DAEMON services, operations on task sets, and tags by TagResource.
// CODE_DEPLOY and EXTERNAL services can be created and described; what runs for
// them is what [Double.StartTaskSet] starts (codedeploytest stands in front of a
// Double, starts and ends the task sets of the former and shows them).
package ecstest
