package ecstest

import "slices"

// watcher is what Routes last told of a service.
type watcher struct {
	addresses []string
	changed   chan struct{}
}

// Routes returns where a load balancer would send the service's requests (the
// Listening addresses of its healthy tasks, oldest first; draining ones are
// out) and a channel that is closed when that changes.
func (d *Double) Routes(cluster, service string) (addresses []string, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := serviceKey{cluster, service}
	w := d.watchers[key]
	if w == nil {
		w = &watcher{addresses: d.routes(key), changed: make(chan struct{})}
		d.watchers[key] = w
	}
	return slices.Clone(w.addresses), w.changed
}

func (d *Double) routes(key serviceKey) []string {
	var out []string
	if s := d.world.services[key]; s != nil {
		for _, t := range d.world.tasksOf(s, "") {
			if t.address != "" && t.healthy() {
				out = append(out, t.address)
			}
		}
	}
	return out
}

// announceRoutes wakes those whose service's routes changed.
func (d *Double) announceRoutes() {
	for key, w := range d.watchers {
		if now := d.routes(key); !slices.Equal(now, w.addresses) {
			close(w.changed)
			d.watchers[key] = &watcher{addresses: now, changed: make(chan struct{})}
		}
	}
}
