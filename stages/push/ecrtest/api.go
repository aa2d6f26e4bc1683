package ecrtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

type object = map[string]any

// request is the union of the inputs that are read.
type request struct {
	RepositoryName string   `json:"repositoryName"`
	LayerDigests   []string `json:"layerDigests"`
	ImageID        struct {
		ImageDigest string `json:"imageDigest"`
	} `json:"imageId"`
	NextToken string `json:"nextToken"`
}

// pageSize is how many findings come at once.
const pageSize = 2

func (s *Server) api(w http.ResponseWriter, r *http.Request, action string) {
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, "SerializationException", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.allowed(action) {
		fail(w, "AccessDeniedException", fmt.Sprintf("User: arn:aws:iam::%s:user/test is not authorized to perform: ecr:%s", s.options.Host[:12], action))
		return
	}
	repo := s.repositories[in.RepositoryName]
	if repo == nil && action != "GetAuthorizationToken" && action != "CreateRepository" {
		fail(w, "RepositoryNotFoundException", fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", in.RepositoryName, s.options.Host[:12]))
		return
	}
	switch action {
	case "GetAuthorizationToken":
		password, end := s.newToken()
		answer(w, object{"authorizationData": []object{{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
			"expiresAt":          float64(end.Unix()), "proxyEndpoint": "https://" + s.options.Host,
		}}})
	case "BatchCheckLayerAvailability":
		s.availability(w, repo, in.LayerDigests)
	case "CreateRepository":
		s.create(w, in.RepositoryName)
	case "DescribeImageScanFindings":
		s.findings(w, repo, in)
	case "StartImageScan":
		repo.scanned = true
		answer(w, object{"imageScanStatus": object{"status": types.ScanStatusInProgress}})
	default:
		fail(w, "UnknownOperationException", action)
	}
}

func (s *Server) availability(w http.ResponseWriter, repo *repository, digests []string) {
	if len(digests) == 0 || len(digests) > 100 {
		fail(w, "InvalidParameterException", fmt.Sprintf("%d digests; 1 to 100 are allowed", len(digests)))
		return
	}
	layers, failures := []object{}, []object{}
	for _, d := range digests {
		switch content, ok := repo.blobs[d]; {
		case ok:
			layers = append(layers, object{"layerDigest": d, "layerAvailability": types.LayerAvailabilityAvailable, "layerSize": len(content)})
		case strings.HasPrefix(d, "sha256:"):
			layers = append(layers, object{"layerDigest": d, "layerAvailability": types.LayerAvailabilityUnavailable, "layerSize": 0})
		default:
			failures = append(failures, object{"layerDigest": d, "failureCode": types.LayerFailureCodeInvalidLayerDigest})
		}
	}
	answer(w, object{"layers": layers, "failures": failures})
}

func (s *Server) create(w http.ResponseWriter, name string) {
	if s.repositories[name] != nil {
		fail(w, "RepositoryAlreadyExistsException", fmt.Sprintf("The repository with name '%s' already exists", name))
		return
	}
	s.repositories[name] = &repository{blobs: map[string][]byte{}, manifests: map[string]stored{}, tags: map[string]string{}}
	answer(w, object{"repository": object{"repositoryName": name, "repositoryUri": s.options.Host + "/" + name}})
}

func (s *Server) findings(w http.ResponseWriter, repo *repository, in request) {
	if _, ok := repo.manifests[in.ImageID.ImageDigest]; !ok {
		fail(w, "ImageNotFoundException", "The image with imageId "+in.ImageID.ImageDigest+" does not exist")
		return
	}
	scan := Scan{}
	if len(repo.scans) > 0 {
		scan = repo.scans[0]
	}
	if len(repo.scans) > 1 && in.NextToken == "" && (scan.Status != "" || repo.scanned) {
		repo.scans = repo.scans[1:]
	}
	if scan.Status == "" {
		fail(w, "ScanNotFoundException", "Image scan does not exist for the image")
		return
	}
	begin := 0
	if in.NextToken != "" {
		if _, err := fmt.Sscanf(in.NextToken, "page-%d", &begin); err != nil {
			fail(w, "InvalidParameterException", "nextToken")
			return
		}
	}
	counts := map[string]int{}
	var basic, enhanced []object
	for _, f := range scan.Findings {
		counts[string(f.Severity)]++
		basic = append(basic, object{"name": f.Name, "severity": f.Severity, "attributes": attributes(f.Attributes)})
	}
	for _, f := range scan.Enhanced {
		counts[*f.Severity]++
		e := object{"title": f.Title, "severity": f.Severity, "status": f.Status}
		if d := f.PackageVulnerabilityDetails; d != nil {
			packages := []object{}
			for _, p := range d.VulnerablePackages {
				packages = append(packages, object{"name": p.Name, "version": p.Version})
			}
			e["packageVulnerabilityDetails"] = object{"vulnerabilityId": d.VulnerabilityId, "vulnerablePackages": packages}
		}
		enhanced = append(enhanced, e)
	}
	out := object{
		"repositoryName": in.RepositoryName, "imageId": object{"imageDigest": in.ImageID.ImageDigest},
		"imageScanStatus":   object{"status": scan.Status, "description": scan.Description},
		"imageScanFindings": object{"findingSeverityCounts": counts, "findings": page(basic, begin), "enhancedFindings": page(enhanced, begin)},
	}
	if begin+pageSize < max(len(basic), len(enhanced)) {
		out["nextToken"] = fmt.Sprintf("page-%d", begin+pageSize)
	}
	answer(w, out)
}

func page(all []object, begin int) []object {
	return all[min(begin, len(all)):min(begin+pageSize, len(all))]
}

func attributes(list []types.Attribute) []object {
	out := []object{}
	for _, a := range list {
		out = append(out, object{"key": a.Key, "value": a.Value})
	}
	return out
}

func answer(w http.ResponseWriter, body object) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(object{"__type": code, "message": message})
}
