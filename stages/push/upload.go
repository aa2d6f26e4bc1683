package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/pause"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

const (
	// smallBlob is sent with the first request: it costs less than a round
	// trip, also where the registry then wants it once more. Servers read as
	// much of a body that they do not want before they cut the connection.
	smallBlob = 128 << 10
	// resumable is what is worth going on with instead of sending it again.
	resumable = 4 << 20
	// ecrChunk is how ECR gets large blobs: it forgets what it has of a
	// request that was cut. Its smallest is 5 MB (ECR's LayerPartTooSmall).
	ecrChunk = 32 << 20
	// part is how a blob goes on a way that cuts it, to a registry that keeps
	// nothing of a request that was cut.
	part = 8 << 20
)

// transfer is one blob on its way. Its tries share what is known of the
// upload.
type transfer struct {
	r     *repository
	from  content
	blob  cache.Descriptor
	count *counted

	session *session // nil: nothing outlives the process
	place   *url.URL // of the open upload; nil when there is none
	sent    int64    // what the registry confirmed of it
	resumed bool     // bytes of an earlier request are in it
	fresh   bool     // go on with nothing
	parts   int64    // bytes that go in one request, as long ones are cut; 0 for all of them
	patch   bool     // the registry refused the blob in the closing PUT
	early   bool     // the open upload is older than what it is for
	own     bool     // such a one was of no use: open another
	mounted bool     // it came from another repository
}

// uploadBlob sends one blob and tells whether bytes were sent for it. A try
// that failed may have got through all the same, so the next one asks first.
func (r *repository) uploadBlob(ctx context.Context, from content, b cache.Descriptor, p *progress) (sent bool, err error) {
	t := &transfer{r: r, from: from, blob: b, count: &counted{p: p}}
	if b.Size >= resumable {
		t.session = openSession(r.memory.dir, r.repo.Name(), b.Digest)
		defer func() { t.session.leave() }()
		t.takeUp()
	}
	again := false
	err = registry.Retry(ctx, func() error {
		if again {
			if there, err := r.has(ctx, b); err == nil && there {
				t.count.set(b.Size)
				return nil
			}
		}
		again = true
		return t.tryOn(ctx)
	})
	if registry.HasCode(err, transport.DigestInvalidErrorCode) {
		if damage := from.verify(ctx, b); damage != nil {
			err = damage
		}
	}
	if err != nil {
		t.count.set(0)
		return false, fmt.Errorf("send %s: %w", b.Digest, err)
	}
	t.session.done()
	t.session = nil
	if t.mounted {
		t.count.set(b.Size)
	}
	return !t.mounted, nil
}

// tryOn tries again for as long as each try gets on: a way that cuts every long
// request does not use up the patience with one that is broken.
func (t *transfer) tryOn(ctx context.Context) error {
	for {
		before := t.sent
		err := t.try(ctx)
		if err == nil || t.sent-before < resumable || pause.For(ctx, settle) != nil {
			return err
		}
	}
}

// settle is how long a registry may still be busy with a request whose
// connection is gone: what it says of the upload in the meantime may be wrong.
const settle = 200 * time.Millisecond

// takeUp finds the upload that a killed run left.
func (t *transfer) takeUp() {
	if t.session == nil || t.session.Location == "" {
		return
	}
	if u, err := url.Parse(t.session.Location); err == nil && u.Host == t.r.repo.RegistryStr() {
		t.place, t.sent = u, t.session.Sent
	}
}

// try sends the blob: what is left of it where an upload is open, else all.
func (t *transfer) try(ctx context.Context) error {
	if t.place != nil {
		err := t.goOn(ctx)
		if err == nil || !t.lost(err) {
			return err
		}
		t.place, t.fresh = nil, t.resumed // what did not come out right once is not tried twice
		if !t.resumed && t.blob.Size >= resumable && !t.r.memory.read().NoParts {
			t.parts = part
		}
	}
	t.count.set(0)
	t.sent, t.resumed = 0, false
	done, err := t.open(ctx)
	if done || err != nil {
		return err
	}
	err = t.send(ctx)
	if t.early && !t.own && t.lost(err) { // it rested for too long, perhaps
		t.own, t.place, t.sent = true, nil, 0
		t.count.set(0)
		if done, err := t.open(ctx); done || err != nil {
			return err
		}
		err = t.send(ctx)
	}
	if !refusesPut(err) || t.patch {
		return err
	}
	// Once more in an upload of its own: by PATCH, and then that is the way;
	// of a blob in chunks, from its first byte, and in one where those were
	// not what the registry asks for.
	learn := !t.chunked()
	if t.parts > 0 {
		t.parts = 0
		t.r.memory.change(func(n *notes) { n.NoParts = true })
	}
	t.patch, t.place, t.sent = true, nil, 0
	t.count.set(0)
	if done, err := t.open(ctx); done || err != nil {
		return err
	}
	if err = t.send(ctx); err == nil && learn {
		t.r.memory.change(func(n *notes) { n.NoPut = true })
	}
	return err
}

// lost tells that an open upload is of no use: the registry has forgotten it,
// has other bytes, or wants other ones.
func (t *transfer) lost(err error) bool {
	if errors.Is(err, errNoStatus) {
		return true
	}
	switch registry.StatusOf(err) {
	case http.StatusNotFound, http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable, http.StatusMethodNotAllowed,
		http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// refusesPut tells that the registry wants no blob in the closing PUT. A 404
// is an upload it has forgotten; other refusals are about the blob.
func refusesPut(err error) bool {
	switch registry.StatusOf(err) {
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return true
	case http.StatusBadRequest:
		return !registry.HasCode(err, transport.DigestInvalidErrorCode) && !registry.HasCode(err, "SIZE_INVALID") && !registry.HasCode(err, transport.NameInvalidErrorCode)
	}
	return false
}

// open asks for an upload. done tells that nothing is left to be sent: a small
// blob went with the request, or another repository's was mounted.
func (t *transfer) open(ctx context.Context) (done bool, err error) {
	query, codes := url.Values{}, []int{http.StatusAccepted, http.StatusCreated}
	holder := ""
	small := t.blob.Size <= smallBlob && t.blob.Size > 0 && !t.patch && !t.r.memory.read().NoSingle
	if !small {
		holder = t.r.holder(t.blob)
	}
	if !small && holder == "" && !t.own {
		if t.place = t.r.ahead.take(ctx); t.place != nil {
			t.early = true
			t.rests()
			return false, nil
		}
	}
	switch {
	case small:
		query.Set("digest", string(t.blob.Digest))
	case holder != "":
		query.Set("mount", string(t.blob.Digest))
		query.Set("from", holder)
	}
	resp, err := t.post(ctx, query, small, codes...)
	if small && refusesPut(err) || holder != "" && refusesMount(err) {
		if small {
			t.r.memory.change(func(n *notes) { n.NoSingle = true })
		}
		small, holder = false, ""
		resp, err = t.post(ctx, nil, false, codes...)
	}
	if err != nil {
		return false, err
	}
	if resp.StatusCode == http.StatusCreated && (small || holder != "") {
		t.mounted = holder != ""
		return true, nil
	}
	if small {
		t.count.set(0)
		t.r.memory.change(func(n *notes) { n.NoSingle = true })
	}
	if t.place, err = resp.Location(); err != nil {
		return false, fmt.Errorf("the registry gave no place to upload to: %w", err)
	}
	t.rests()
	return false, nil
}

// rests notes the upload that was opened, for a later run to go on with.
func (t *transfer) rests() {
	if t.blob.Size >= resumable {
		t.session.keep(t.place.String(), 0)
	}
}

// refusesMount: the login may not read the other repository, or it is gone.
func refusesMount(err error) bool {
	status := registry.StatusOf(err)
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

func (t *transfer) post(ctx context.Context, query url.Values, whole bool, codes ...int) (*http.Response, error) {
	u, err := url.Parse(t.r.url("blobs/uploads/"))
	if err != nil {
		return nil, err
	}
	u.RawQuery = query.Encode()
	size := int64(0)
	if whole {
		size = t.blob.Size
	}
	return t.request(ctx, http.MethodPost, u, 0, size, codes...)
}

// chunked tells that the blob goes in several requests.
func (t *transfer) chunked() bool {
	return t.parts > 0 && t.blob.Size > t.parts || t.r.chunk > 0 && t.blob.Size > 2*t.r.chunk
}

// send fills the open upload from its beginning.
func (t *transfer) send(ctx context.Context) error {
	if t.patch || t.chunked() || t.r.memory.read().NoPut {
		return t.rest(ctx)
	}
	_, err := t.request(ctx, http.MethodPut, t.closing(), 0, t.blob.Size, http.StatusCreated)
	return err
}

// goOn sends what the registry does not have of an open upload.
func (t *transfer) goOn(ctx context.Context) error {
	if t.fresh || t.blob.Size < resumable {
		return errNoStatus
	}
	if t.r.chunk == 0 { // else it does not tell: what was confirmed counts
		if err := t.status(ctx); err != nil {
			return err
		}
	}
	if t.sent <= 0 || t.sent > t.blob.Size {
		return errNoStatus
	}
	if !t.resumed {
		t.count.p.note(fmt.Sprintf("the registry has %s of %s of a blob already: going on there", sizes.Text(t.sent), sizes.Text(t.blob.Size)))
	}
	t.resumed = true
	t.count.set(t.sent)
	err := t.rest(ctx)
	if registry.StatusOf(err) != http.StatusRequestedRangeNotSatisfiable || t.r.chunk > 0 || pause.For(ctx, settle) != nil {
		return err
	}
	if again := t.status(ctx); again != nil || t.sent <= 0 || t.sent > t.blob.Size {
		return err
	}
	t.count.set(t.sent)
	return t.rest(ctx)
}

// errNoStatus is an upload that there is nothing to go on with.
var errNoStatus = errors.New("the upload cannot be taken up")

// status asks how much of the blob is there (distribution-spec v1.1, “Pushing
// a blob in chunks”).
func (t *transfer) status(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.place.String(), nil)
	if err != nil {
		return err
	}
	resp, err := t.r.do(req, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	if place, err := resp.Location(); err == nil {
		t.place = place
	}
	_, end, ok := strings.Cut(resp.Header.Get("Range"), "-")
	last, err := strconv.ParseInt(end, 10, 64)
	if !ok || err != nil || last < 1 {
		return errNoStatus
	}
	t.sent = last + 1
	return nil
}

// rest sends the blob from t.sent on by PATCH, and closes the upload.
func (t *transfer) rest(ctx context.Context) error {
	for t.sent < t.blob.Size {
		n := t.blob.Size - t.sent
		if t.chunked() {
			n = min(n, cmp.Or(t.r.chunk, t.parts))
		}
		resp, err := t.request(ctx, http.MethodPatch, t.place, t.sent, n, http.StatusAccepted, http.StatusCreated, http.StatusNoContent)
		if err != nil {
			return err
		}
		if place, err := resp.Location(); err == nil {
			t.place = place
		}
		t.sent += n
		if t.chunked() {
			t.session.keep(t.place.String(), t.sent)
		}
	}
	_, err := t.request(ctx, http.MethodPut, t.closing(), 0, 0, http.StatusCreated)
	return err
}

// closing is where the upload ends.
func (t *transfer) closing() *url.URL {
	u := *t.place
	query := u.Query()
	query.Set("digest", string(t.blob.Digest))
	u.RawQuery = query.Encode()
	return &u
}

// request sends size bytes of the blob, from a byte on, as the body.
func (t *transfer) request(ctx context.Context, method string, to *url.URL, from, size int64, codes ...int) (*http.Response, error) {
	ctx, watch := watchStall(ctx, t.r.patience)
	req, err := http.NewRequestWithContext(ctx, method, to.String(), http.NoBody)
	if err != nil {
		return nil, watch.explain(ctx, err)
	}
	if size > 0 {
		req.ContentLength = size
		req.GetBody = func() (io.ReadCloser, error) { // for a redirect, a login or a stale connection
			return t.count.reader(from, &lateReader{size: size, moves: watch.moves, open: func() (io.ReadCloser, error) { return t.from.open(ctx, t.blob, from) }}), nil
		}
		if req.Body, err = req.GetBody(); err != nil {
			return nil, watch.explain(ctx, err)
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Close = t.parts > 0 && method == http.MethodPatch // a limit may be the connection's
	}
	if method == http.MethodPatch && (from > 0 || size < t.blob.Size) {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", from, from+size-1))
	}
	resp, err := t.r.do(req, codes...)
	return resp, watch.explain(ctx, err)
}

// lateReader opens what it reads when it is read: a request's body may be
// asked for several times, and each costs a request to the base's registry.
type lateReader struct {
	open  func() (io.ReadCloser, error)
	moves func(left int64) // hears of each read
	size  int64            // bytes left
	r     io.ReadCloser
}

func (l *lateReader) Read(p []byte) (n int, err error) {
	if l.r == nil {
		if l.r, err = l.open(); err != nil {
			l.r = nil
			return 0, err
		}
	}
	if l.size == 0 {
		return 0, io.EOF
	}
	n, err = l.r.Read(p[:min(int64(len(p)), l.size)])
	l.size -= int64(n)
	l.moves(l.size)
	return n, err
}

func (l *lateReader) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
