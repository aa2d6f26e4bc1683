// Package ecstest is a double of Amazon ECS to test deployments with: the
// API over HTTP (AWS JSON 1.1), and behind it one state machine for services,
// deployments and tasks, driven by whatever TaskRuntime really or seemingly
// runs the tasks.
//
// Time is only ever read from package time, so that a whole rollout runs in
// microseconds inside testing/synctest (see Transport), and in real time when
// served over a socket.
package ecstest
