package ecstest

import (
	"encoding/json"
	"maps"
	"slices"
)

func (d *Double) clusterARN(name string) string { return d.arn("cluster", name) }

// clusterOf resolves a name or ARN; empty is the default cluster.
func clusterOf(w *world, name string) (*cluster, error) {
	if name == "" {
		name = "default"
	}
	c := w.clusters[afterSlash(name)]
	if c == nil || c.status != "ACTIVE" {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return c, nil
}

func createCluster(d *Double, c call) (object, error) {
	in, err := read[struct {
		ClusterName string          `json:"clusterName"`
		Tags        json.RawMessage `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.ClusterName == "" {
		in.ClusterName = "default"
	}
	if !validName(in.ClusterName) {
		return nil, invalid("Invalid cluster name. The name must be 1-255 letters, numbers, underscores and hyphens.")
	}
	given, err := keep(c.body, "settings", "configuration", "capacityProviders", "defaultCapacityProviderStrategy", "serviceConnectDefaults")
	if err != nil {
		return nil, err
	}
	k := d.world.clusters[in.ClusterName]
	if k == nil || k.status != "ACTIVE" {
		k = &cluster{name: in.ClusterName, status: "ACTIVE", config: given, tags: in.Tags}
		d.world.clusters[k.name] = k
	}
	return object{"cluster": d.showCluster(d.world, k, true)}, nil
}

func deleteCluster(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster string `json:"cluster"`
	}](c)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(d.world, in.Cluster)
	if err != nil {
		return nil, err
	}
	for _, s := range d.world.services {
		if s.key.cluster == k.name && s.status != "INACTIVE" {
			return nil, refuse("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
		}
	}
	for _, t := range d.world.tasks {
		if t.cluster == k.name && t.last != "STOPPED" {
			return nil, refuse("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
		}
	}
	k.status = "INACTIVE"
	return object{"cluster": d.showCluster(d.world, k, true)}, nil
}

func describeClusters(d *Double, c call) (object, error) {
	in, err := read[struct {
		Clusters []string `json:"clusters"`
		Include  []string `json:"include"`
	}](c)
	if err != nil {
		return nil, err
	}
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	if len(in.Clusters) > 100 {
		return nil, invalid("Clusters can have at most 100 items.")
	}
	found, failures := []object{}, []object{}
	for _, name := range in.Clusters {
		if k := c.view.clusters[afterSlash(name)]; k != nil {
			found = append(found, d.showCluster(c.view, k, wantsTags(in.Include)))
		} else {
			failures = append(failures, missing(d.clusterARN(afterSlash(name))))
		}
	}
	return object{"clusters": found, "failures": failures}, nil
}

func listClusters(d *Double, c call) (object, error) {
	in, err := read[paging](c)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, name := range slices.Sorted(maps.Keys(c.view.clusters)) {
		if c.view.clusters[name].status == "ACTIVE" {
			arns = append(arns, d.clusterARN(name))
		}
	}
	return page(in, object{}, "clusterArns", arns, 100)
}

func (d *Double) showCluster(w *world, k *cluster, tags bool) object {
	running, pending, services := 0, 0, 0
	for _, t := range w.tasks {
		if t.cluster == k.name {
			r, p := t.counts()
			running, pending = running+r, pending+p
		}
	}
	for _, s := range w.services {
		if s.key.cluster == k.name && s.status == "ACTIVE" {
			services++
		}
	}
	o := object{
		"clusterArn": d.clusterARN(k.name), "clusterName": k.name, "status": k.status,
		"registeredContainerInstancesCount": 0, "runningTasksCount": running, "pendingTasksCount": pending,
		"activeServicesCount": services, "statistics": []object{}, "tags": []object{},
		"settings":          []object{{"name": "containerInsights", "value": "disabled"}},
		"capacityProviders": []string{}, "defaultCapacityProviderStrategy": []object{},
	}
	maps.Copy(o, k.config)
	if tags && k.tags != nil {
		o["tags"] = k.tags
	}
	return o
}

// keep takes the named keys of a JSON object as they are.
func keep(body []byte, keys ...string) (object, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, refuse("SerializationException", "%v", err)
	}
	o := object{}
	for _, k := range keys {
		if v, ok := all[k]; ok && string(v) != "null" {
			o[k] = v
		}
	}
	return o, nil
}

// validName holds ECS's rule for families, clusters and services: up to 255
// letters, digits, underscores and hyphens.
func validName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
