package ecstest

import "encoding/json"

func describeServiceRevisions(d *Double, c call) (object, error) {
	in, err := read[struct {
		ARNs []string `json:"serviceRevisionArns"`
	}](c)
	if err != nil {
		return nil, err
	}
	if len(in.ARNs) == 0 || len(in.ARNs) > 20 {
		return nil, invalid("serviceRevisionArns must have between 1 and 20 items.")
	}
	found, failures := []object{}, []object{}
	for _, arn := range in.ARNs {
		s := serviceByARN(c.view, "service-revision", arn)
		if s == nil || s.revision(arn) == nil {
			failures = append(failures, missing(arn))
			continue
		}
		found = append(found, d.showRevision(c.view, s, s.revision(arn)))
	}
	return object{"serviceRevisions": found, "failures": failures}, nil
}

func (d *Double) showRevision(w *world, s *service, v *revision) object {
	o := object{
		"serviceRevisionArn": v.arn, "serviceArn": s.arn, "clusterArn": d.clusterARN(s.key.cluster),
		"taskDefinition": v.definition, "createdAt": epoch(v.created), "guardDutyEnabled": false,
	}
	for _, k := range append(deployingKeys(), "launchType") {
		if raw, ok := v.config[k]; ok {
			o[k] = raw
		}
	}
	if s.settings.launchType == "FARGATE" {
		o["platformVersion"], o["platformFamily"] = "1.4.0", "Linux"
	}
	images := []object{}
	if def := definitionOf(w, v.definition); def != nil {
		raw, err := json.Marshal(def.body)
		if parsed, err2 := parseDefinition(raw); err == nil && err2 == nil {
			for _, c := range parsed.Containers {
				images = append(images, d.showImage(w, s, v, c))
			}
		}
	}
	o["containerImages"] = images
	return o
}

// showImage tells an image's digest once a task of the revision pulled it.
func (d *Double) showImage(w *world, s *service, v *revision, c containerDefinition) object {
	o := object{"containerName": c.Name, "image": c.Image}
	for _, t := range w.tasksOf(s, "") {
		if k := t.container(c.Name); k != nil && t.revision == v.arn && k.digest != "" {
			o["imageDigest"] = k.digest
		}
	}
	return o
}
