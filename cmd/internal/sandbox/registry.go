package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// registryHandler is a registry over the cache's blobs: what the image stage
// has made is there already and need not be sent. Manifests are in memory;
// blobs never are, which is why uploads are handled here: the library's own
// handler collects them in memory.
type registryHandler struct {
	blobs   cache.LocalStore
	rest    http.Handler // everything but uploads
	mu      sync.Mutex
	uploads map[string]*upload
}

// upload is one upload session.
type upload struct {
	mu     sync.Mutex
	writer cache.BlobWriter
	size   int64
}

func newRegistry(blobs cache.LocalStore) *registryHandler {
	return &registryHandler{
		blobs:   blobs,
		rest:    registry.New(registry.WithBlobHandler(blobStore{blobs}), registry.Logger(log.New(io.Discard, "", 0))),
		uploads: map[string]*upload{},
	}
}

// blobStore is the registry's view of the cache.
type blobStore struct{ blobs cache.LocalStore }

func (b blobStore) Get(ctx context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	r, err := b.blobs.Open(ctx, cache.Digest(h.String()), 0, -1)
	return r, absent(err)
}

func (b blobStore) Stat(ctx context.Context, _ string, h v1.Hash) (int64, error) {
	info, err := b.blobs.Stat(ctx, cache.Digest(h.String()))
	return info.Size, absent(err)
}

func absent(err error) error {
	if errors.Is(err, cache.ErrNotFound) {
		return registry.ErrNotFound
	}
	return err
}

// ServeHTTP takes uploads as the distribution specification has them: POST
// opens a session, PATCH appends, PUT appends and ends it, or POST with a
// digest does all at once.
func (r *registryHandler) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name, session, ok := strings.Cut(strings.TrimPrefix(q.URL.Path, "/v2/"), "/blobs/uploads")
	if !ok {
		r.rest.ServeHTTP(w, q)
		return
	}
	session = strings.Trim(session, "/")
	switch {
	case q.Method == http.MethodPost && session == "":
		r.open(w, q, name)
	case q.Method == http.MethodPatch:
		r.append(w, q, name, session)
	case q.Method == http.MethodPut:
		r.finish(w, q, name, session)
	case q.Method == http.MethodGet:
		r.status(w, name, session)
	case q.Method == http.MethodDelete:
		if u := r.take(session); u != nil {
			u.writer.Abort()
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", q.Method+" is not for uploads")
	}
}

func (r *registryHandler) open(w http.ResponseWriter, q *http.Request, name string) {
	query := q.URL.Query()
	if mount := query.Get("mount"); mount != "" { // all repositories share their blobs
		if d, err := cache.ParseDigest(mount); err == nil {
			if _, err := r.blobs.Stat(q.Context(), d); err == nil {
				created(w, name, d)
				return
			}
		}
	}
	writer, err := r.blobs.Create(context.WithoutCancel(q.Context())) // it outlives this request
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	var b [16]byte
	rand.Read(b[:])
	session := hex.EncodeToString(b[:])
	u := &upload{writer: writer}
	r.mu.Lock()
	r.uploads[session] = u
	r.mu.Unlock()
	if query.Get("digest") != "" {
		r.finish(w, q, name, session)
		return
	}
	accepted(w, name, session, 0, http.StatusAccepted)
}

// take ends a session; nil when there is no such.
func (r *registryHandler) take(session string) *upload {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploads[session]
	delete(r.uploads, session)
	return u
}

func (r *registryHandler) find(session string) *upload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uploads[session]
}

func (r *registryHandler) append(w http.ResponseWriter, q *http.Request, name, session string) {
	u := r.find(session)
	if u == nil {
		unknownUpload(w)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if first, _, chunked := strings.Cut(q.Header.Get("Content-Range"), "-"); chunked && first != fmt.Sprint(u.size) {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("have %d bytes, the chunk begins at %s", u.size, first))
		return
	}
	if err := u.read(q.Body); err != nil {
		r.take(session)
		u.writer.Abort()
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error())
		return
	}
	accepted(w, name, session, u.size, http.StatusAccepted)
}

func (u *upload) read(body io.Reader) error {
	n, err := io.Copy(u.writer, body)
	u.size += n
	return err
}

func (r *registryHandler) finish(w http.ResponseWriter, q *http.Request, name, session string) {
	u := r.take(session)
	if u == nil {
		unknownUpload(w)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	defer u.writer.Abort()
	wanted, err := cache.ParseDigest(q.URL.Query().Get("digest"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
		return
	}
	if err := u.read(q.Body); err != nil {
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error())
		return
	}
	got, err := u.writer.Commit()
	switch {
	case err != nil:
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
	case got.Digest != wanted: // kept under its true name, where it does no harm
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", fmt.Sprintf("the bytes are %s", got.Digest))
	default:
		created(w, name, wanted)
	}
}

func (r *registryHandler) status(w http.ResponseWriter, name, session string) {
	u := r.find(session)
	if u == nil {
		unknownUpload(w)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	accepted(w, name, session, u.size, http.StatusNoContent)
}

// close drops unfinished uploads.
func (r *registryHandler) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.uploads {
		u.writer.Abort()
	}
	clear(r.uploads)
}

func created(w http.ResponseWriter, name string, d cache.Digest) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+string(d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
}

func accepted(w http.ResponseWriter, name, session string, size int64, status int) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+session)
	w.Header().Set("Docker-Upload-UUID", session)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	w.WriteHeader(status)
}

func unknownUpload(w http.ResponseWriter) {
	refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
}

// refuse answers in the distribution specification's error form.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type object = map[string]any
	_ = json.NewEncoder(w).Encode(object{"errors": []object{{"code": code, "message": message}}})
}
