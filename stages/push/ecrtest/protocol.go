package ecrtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// minChunk is the smallest part but the last (LayerPartTooSmallException).
const minChunk = 5 << 20

// operation needs the IAM action that stands beside it in ECR's documentation.
func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	if end, ok := s.tokens[password]; !ok || user != "AWS" || time.Now().After(end) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="https://%s/",service="ecr.amazonaws.com"`, s.options.Host))
		refuse(w, http.StatusUnauthorized, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
		return
	}
	if r.URL.Path == "/v2/" {
		return
	}
	for _, at := range []struct {
		kind  string
		serve func(http.ResponseWriter, *http.Request, *repository, string, []byte)
	}{{"manifests", s.manifest}, {"blobs/uploads", s.upload}, {"blobs", s.blob}, {"referrers", s.referrers}} {
		name, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"+at.kind+"/")
		if !ok {
			continue
		}
		repo := s.repositories[name]
		if repo == nil {
			if s.options.CutAbsent {
				panic(http.ErrAbortHandler)
			}
			refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "The repository with name '%s' does not exist in the registry with id '%s'", name, s.options.Host[:12])
			return
		}
		at.serve(w, r, repo, rest, body)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

// may refuses what the caller's policy does not allow.
func (s *Server) may(w http.ResponseWriter, actions ...string) bool {
	for _, a := range actions {
		if !s.allowed(a) {
			refuse(w, http.StatusForbidden, "DENIED", "User: arn:aws:iam::%s:user/test is not authorized to perform: ecr:%s", s.options.Host[:12], a)
			return false
		}
	}
	return true
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request, repo *repository, digest string, _ []byte) {
	action := "GetDownloadUrlForLayer"
	if r.Method == http.MethodHead {
		action = "BatchCheckLayerAvailability"
	}
	if !s.may(w, action) {
		return
	}
	content, ok := repo.blobs[digest]
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no such layer")
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, repo *repository, id string, body []byte) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/uploads/")
	u := s.uploads[id]
	if r.Method != http.MethodPost && (u == nil || u.repository != name) {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "The specified upload '%s' does not exist", id)
		return
	}
	switch r.Method {
	case http.MethodPost: // a digest and a body are passed over
		if s.may(w, "InitiateLayerUpload") {
			s.begin(w, r, name, repo)
		}
	case http.MethodPatch:
		if s.may(w, "UploadLayerPart") {
			s.part(w, r, name, id, u, body)
		}
	case http.MethodPut:
		if !s.may(w, "CompleteLayerUpload") || len(body) > 0 && !s.may(w, "UploadLayerPart") {
			return
		}
		if len(body) > 0 && s.options.RefusePut {
			refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "a body is not taken here")
			return
		}
		s.complete(w, r, name, id, u, repo, append(u.content, body...))
	case http.MethodGet:
		s.accepted(w, name, id, u, http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "%s", r.Method)
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, name string, repo *repository) {
	digest := r.URL.Query().Get("mount")
	if other := s.repositories[r.URL.Query().Get("from")]; digest != "" && other != nil && s.options.Mounting && s.allowed("BatchCheckLayerAvailability") {
		if content, ok := other.blobs[digest]; ok {
			repo.blobs[digest] = content
			s.created(w, name, digest)
			return
		}
	}
	id := random()
	s.uploads[id] = &upload{repository: name}
	s.accepted(w, name, id, s.uploads[id], http.StatusAccepted)
}

// part takes a chunk: in order, none after a small one, none twice.
func (s *Server) part(w http.ResponseWriter, r *http.Request, name, id string, u *upload, body []byte) {
	begin := 0
	if text := r.Header.Get("Content-Range"); text != "" {
		if _, err := fmt.Sscanf(text, "%d-", &begin); err != nil {
			refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Content-Range %s", text)
			return
		}
	}
	switch {
	case begin != len(u.content):
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "the next byte is %d, not %d", len(u.content), begin)
		return
	case len(u.content) > 0 && u.last < minChunk:
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "LayerPartTooSmall: a part of %d bytes is the last one", u.last)
		return
	}
	if len(u.content) == 0 {
		u.first = len(body)
	}
	u.content, u.last = append(u.content, body...), len(body)
	s.accepted(w, name, id, u, http.StatusCreated)
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, name, id string, u *upload, repo *repository, content []byte) {
	digest := r.URL.Query().Get("digest")
	sum := sha256.Sum256(content)
	if "sha256:"+hex.EncodeToString(sum[:]) != digest {
		delete(s.uploads, id)
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "the layer has another digest")
		return
	}
	delete(s.uploads, id)
	repo.blobs[digest] = content
	s.created(w, name, digest)
}

func (s *Server) created(w http.ResponseWriter, name, digest string) {
	w.Header().Set("Location", fmt.Sprintf("https://%s/v2/%s/blobs/%s", s.options.Host, name, digest))
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

func (s *Server) accepted(w http.ResponseWriter, name, id string, u *upload, status int) {
	w.Header().Set("Location", fmt.Sprintf("https://%s/v2/%s/blobs/uploads/%s", s.options.Host, name, id))
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.first-1, 0)))
	w.WriteHeader(status)
}

func (s *Server) manifest(w http.ResponseWriter, r *http.Request, repo *repository, reference string, body []byte) {
	if r.Method == http.MethodPut {
		if s.may(w, "PutImage") {
			s.putImage(w, r, repo, reference, body)
		}
		return
	}
	if !s.may(w, "BatchGetImage") {
		return
	}
	digest := reference
	if !strings.HasPrefix(reference, "sha256:") {
		digest = repo.tags[reference]
	}
	m, ok := repo.manifests[digest]
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "Requested image not found")
		return
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(len(m.raw)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.raw)
	}
}

// parts is what a manifest or an index refers to.
type parts struct {
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
	Subject   *descriptor  `json:"subject"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Data      []byte `json:"data,omitempty"`
}

func (s *Server) putImage(w http.ResponseWriter, r *http.Request, repo *repository, reference string, body []byte) {
	if s.throttled() {
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "Rate exceeded")
		return
	}
	var m parts
	if err := json.Unmarshal(body, &m); err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "%v", err)
		return
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, b := range blobs {
		if content, ok := repo.blobs[b.Digest]; !ok || int64(len(content)) != b.Size {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "Layers with digests '[%s]' required for pushing image do not exist", b.Digest)
			return
		}
	}
	for _, c := range m.Manifests {
		if _, ok := repo.manifests[c.Digest]; !ok {
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "Images with digests '[%s]' required for pushing image into repository do not exist", c.Digest)
			return
		}
	}
	for _, d := range append(blobs, m.Manifests...) {
		if len(d.Data) > 0 {
			refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "Invalid parameter at 'ImageManifest': embedded data")
			return
		}
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if strings.HasPrefix(reference, "sha256:") {
		if reference != digest {
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "the manifest has another digest")
			return
		}
	} else if there := repo.tags[reference]; there != "" && s.options.Immutable {
		refuse(w, http.StatusBadRequest, "TAG_INVALID", "The image tag '%s' already exists in the repository and cannot be overwritten because the tag is immutable.", reference)
		return
	} else {
		repo.tags[reference] = digest
	}
	repo.manifests[digest] = stored{r.Header.Get("Content-Type"), body}
	if m.Subject != nil {
		w.Header().Set("OCI-Subject", m.Subject.Digest)
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

// throttled counts a second's PutImage.
func (s *Server) throttled() bool {
	now := time.Now()
	for len(s.puts) > 0 && now.Sub(s.puts[0]) > time.Second {
		s.puts = s.puts[1:]
	}
	if s.options.PutRate > 0 && len(s.puts) >= s.options.PutRate {
		return true
	}
	s.puts = append(s.puts, now)
	return false
}

func (s *Server) referrers(w http.ResponseWriter, _ *http.Request, repo *repository, digest string, _ []byte) {
	if !s.may(w, "BatchGetImage") {
		return
	}
	list := []descriptor{}
	for d, m := range repo.manifests {
		var p parts
		if json.Unmarshal(m.raw, &p) == nil && p.Subject != nil && p.Subject.Digest == digest {
			list = append(list, descriptor{MediaType: m.mediaType, Digest: d, Size: int64(len(m.raw))})
		}
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
}
