package ecstest

import "time"

// stop is the scheduler's or a user's order to stop a task.
func (d *Double) stop(t *task, code, reason string) {
	if t.wanted == "STOPPED" {
		return
	}
	d.retire(t, code, reason)
	d.shutDown(t)
}

// retire wants a task stopped, for the first reason given.
func (d *Double) retire(t *task, code, reason string) {
	if t.wanted == "STOPPED" {
		return
	}
	t.wanted, t.stopCode, t.reason, t.stopping = "STOPPED", code, reason, time.Now()
	t.version++
}

// shutDown drains a task that has traffic, then stops its containers.
func (d *Double) shutDown(t *task) {
	switch t.last {
	case "PROVISIONING":
		d.executionEnded(t) // nothing was started
		return
	case "RUNNING":
		if t.target == nil {
			break
		}
		t.move("DEACTIVATING")
		d.after(d.group(t.targetGroup).Draining, func() {
			if t.last == "DEACTIVATING" {
				d.kill(t)
			}
		})
		return
	}
	d.kill(t)
}

// kill has the runtime stop the task: SIGTERM, then SIGKILL.
func (d *Double) kill(t *task) {
	t.move("STOPPING")
	handle := d.tasks[t.id]
	if handle != nil {
		timeout := d.timing.StopTimeout
		d.effects = append(d.effects, func() { handle.Stop(timeout) })
	}
}

// executionEnded is the moment the last container ended, or was never born.
func (d *Double) executionEnded(t *task) {
	if t.final {
		return
	}
	t.final = true
	t.executionStopped = time.Now()
	for _, c := range t.containers {
		c.last = "STOPPED"
	}
	t.move("DEPROVISIONING")
	delete(d.tasks, t.id)
	d.countFailure(t)
	d.after(d.timing.Deprovisioning, func() {
		t.move("STOPPED")
		t.ended = time.Now()
		if s := d.world.services[t.service]; s != nil {
			d.wake(s)
		}
		d.after(d.timing.Retention, func() { delete(d.world.tasks, t.id) })
	})
	if s := d.world.services[t.service]; s != nil {
		d.wake(s)
	}
}
