package ecstest

import "time"

// launch brings a new task to PROVISIONING and from there, step by step, to
// life. The task is in the world already.
func (d *Double) launch(t *task, spec TaskSpec) {
	t.last, t.wanted, t.created = "PROVISIONING", "RUNNING", time.Now()
	d.world.tasks[t.id] = t
	d.after(d.timing.Provisioning, func() {
		if t.wanted == "STOPPED" {
			return // stopped before it had anything to start
		}
		t.move("PENDING")
		t.connected = time.Now()
		d.effects = append(d.effects, func() { d.start(t.id, spec) })
	})
}

// start calls the runtime, without the lock. Whoever stopped the task in the
// meantime is heard afterwards.
func (d *Double) start(id string, spec TaskSpec) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.running.Add(1)
	d.mu.Unlock()
	handle, err := d.runtime.Start(d.ctx, spec, func(e TaskEvent) {
		d.do(func() { d.observe(id, e) })
	})
	if err != nil {
		d.running.Done()
		d.do(func() { d.observe(id, FailedToStart{Reason: err.Error()}) })
		return
	}
	go func() {
		<-handle.Done()
		d.running.Done()
	}()
	d.do(func() {
		t := d.world.tasks[id]
		if t == nil || t.final {
			return // it is over already
		}
		d.tasks[id] = handle
		if t.last == "STOPPING" {
			d.kill(t)
		}
	})
}

// observe takes what the runtime reports.
func (d *Double) observe(id string, e TaskEvent) {
	t := d.world.tasks[id]
	if t == nil || t.final || d.closed {
		return
	}
	now := time.Now()
	switch e := e.(type) {
	case PullStarted:
		t.pullStarted = now
	case PullStopped:
		t.pullStopped = now
		for name, digest := range e.Digests {
			if c := t.container(name); c != nil {
				c.digest = digest
			}
		}
	case Started:
		d.containerStarted(t, e)
	case Listening:
		t.address = e.Address
	case Health:
		d.judge(t, e)
	case Printed:
		d.print(t, e)
		return
	case Exited:
		d.containerExited(t, e)
	case FailedToStart:
		d.startFailed(t, e)
	}
	t.version++
}

func (d *Double) containerStarted(t *task, e Started) {
	c := t.container(e.Container)
	if c == nil {
		return
	}
	c.last, c.runtimeID = "RUNNING", t.id+"-"+d.number()[:10]
	for _, c := range t.containers {
		if c.last == "PENDING" {
			return
		}
	}
	if t.wanted == "STOPPED" || t.startedUp {
		return
	}
	t.startedUp = true
	t.move("ACTIVATING")
	d.after(d.timing.Activating, func() {
		if t.last != "ACTIVATING" || t.wanted == "STOPPED" {
			return
		}
		t.move("RUNNING")
		t.started = time.Now()
		d.taskRuns(t)
	})
}

// taskRuns is the moment a task becomes RUNNING.
func (d *Double) taskRuns(t *task) {
	s := d.world.services[t.service]
	if s == nil {
		return
	}
	if t.target != nil {
		d.say(s, "(service %s) registered 1 targets in (target-group %s)", s.key.name, t.targetGroup)
	}
	if p := s.deployment(t.deployment); p != nil {
		p.launchFailures = 0 // what ran once is replaced without a wait
	}
	if t.checked() {
		d.recheck(t)
	} else {
		d.succeed(t)
		d.after(d.timing.Settle, func() { d.wake(s) })
	}
	d.wake(s)
}

// startFailed gives up what has not started; what has is waited for.
func (d *Double) startFailed(t *task, e FailedToStart) {
	for _, c := range t.containers {
		if c.last != "PENDING" {
			continue
		}
		c.last = "STOPPED"
		if (e.Container == "" || e.Container == c.name) && t.stopCode != "ServiceSchedulerInitiated" && t.stopCode != "UserInitiated" {
			c.reason = e.Reason // whoever stops a pull knows why it broke off
		}
	}
	switch {
	case t.wanted != "STOPPED":
		d.retire(t, "TaskFailedToStart", e.Reason)
		t.failed = true
	case t.stopCode == "EssentialContainerExited" && !t.startedUp && e.Reason != "":
		t.stopCode, t.reason = "TaskFailedToStart", e.Reason // the exits only followed
	}
	if !t.alive() {
		d.executionEnded(t)
	} else if t.last != "STOPPING" {
		d.kill(t)
	}
}

func (d *Double) containerExited(t *task, e Exited) {
	c := t.container(e.Container)
	if c == nil || c.last == "STOPPED" {
		return
	}
	code := e.Code
	c.last, c.exitCode, c.reason = "STOPPED", &code, e.Reason
	alive := t.alive()
	if (c.essential || !alive) && t.wanted != "STOPPED" {
		d.retire(t, "EssentialContainerExited", "Essential container in task exited")
		t.failed = !t.succeeded // a crash after it ran well escapes ECS's count
		if alive {
			d.kill(t) // its target has nothing left to drain
		}
	}
	if !alive {
		d.executionEnded(t)
	}
}

// alive tells whether a container runs or may still start.
func (t *task) alive() bool {
	for _, c := range t.containers {
		if c.last != "STOPPED" {
			return true
		}
	}
	return false
}
