package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/sbom"
)

// Names of attachments.
const (
	attachedSBOM       = "sbom"
	attachedProvenance = "provenance"
)

// Attachment is a document about the image, which a registry can hold beside
// it.
type Attachment struct {
	Name      string // sbom, provenance
	MediaType string
	// Predicate is the type of the statement (in-toto) that Content is, or
	// that it can be made the predicate of.
	Predicate string
	// Statement says that Content is a whole in-toto statement.
	Statement bool
	Content   []byte
}

// file is its name in the project's state folder.
func (a Attachment) file() string {
	if a.Name == attachedSBOM {
		return "sbom.cdx.json"
	}
	return a.Name + ".json"
}

// wantsAttachments lists what the configuration asks for.
func (c Config) wantsAttachments() []string {
	var names []string
	if c.SBOM == nil || *c.SBOM {
		names = append(names, attachedSBOM)
	}
	if c.Provenance == nil || *c.Provenance {
		names = append(names, attachedProvenance)
	}
	return names
}

// attachmentsKey names the attachments of an image: one image, one set. Who
// built the same image again, and when, changes nothing about it.
func (c Config) attachmentsKey(digest string) cache.Key {
	return cache.NewKey("image attachments", sbom.Version).Add("image", digest).Add("names", c.wantsAttachments()).Key()
}

// keptAttachment is an attachment in the cache.
type keptAttachment struct {
	Attachment
	Blob cache.Descriptor `json:"blob"`
}

// attest prepares the attachments of an image that was made just now. They
// are made when somebody asks for them, at the latest in the background: no
// step waits for them that does not send them.
func (s *Step) attest(env runner.Env, in In, out Out) {
	if len(s.config.wantsAttachments()) == 0 {
		return
	}
	var (
		once sync.Once
		made []Attachment
		err  error
	)
	s.mu.Lock()
	below := s.below
	attachments := func(ctx context.Context) ([]Attachment, error) {
		once.Do(func() { made, err = s.makeAttachments(ctx, in, below, out) })
		return made, err
	}
	s.attachments = attachments
	s.mu.Unlock()
	if !s.config.Pushed && env.Background != nil { // else the push asks
		env.Background("write down what the image is made of", func(ctx context.Context) error {
			_, err := attachments(ctx)
			return err
		})
	}
}

// Attachments returns what is to be attached to the image with that digest:
// that of this run, or of an earlier one whose attachments are in the cache.
// They are made by the first call.
func (s *Step) Attachments(ctx context.Context, digest string) ([]Attachment, error) {
	s.mu.Lock()
	made := s.attachments
	s.mu.Unlock()
	if made != nil {
		return made(ctx)
	}
	if len(s.config.wantsAttachments()) == 0 {
		return nil, nil
	}
	found, ok := s.keptAttachments(ctx, digest)
	if !ok {
		return nil, errors.New("nothing is known of what the image is made of: it was made by another run, and the cache does not have it")
	}
	return found, nil
}

func (s *Step) keptAttachments(ctx context.Context, digest string) ([]Attachment, bool) {
	kept, _, ok := cache.Lookup[[]keptAttachment](ctx, s.deps.Cache, s.config.attachmentsKey(digest))
	if !ok {
		return nil, false
	}
	list := make([]Attachment, len(kept))
	for i, k := range kept {
		content, err := s.readBlob(ctx, k.Blob)
		if err != nil {
			return nil, false // made again
		}
		list[i] = k.Attachment
		list[i].Content = content
	}
	return list, true
}

func (s *Step) readBlob(ctx context.Context, d cache.Descriptor) ([]byte, error) {
	r, err := s.deps.Cache.Blobs.Open(ctx, d.Digest, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// makeAttachments writes the documents, unless they were written for the same
// image before, and lays them into the project's state folder.
func (s *Step) makeAttachments(ctx context.Context, in In, below []base, out Out) ([]Attachment, error) {
	list, ok := s.keptAttachments(ctx, out.Digest)
	if !ok {
		var err error
		if list, err = s.writeAttachments(ctx, in, below, out); err != nil {
			return nil, err
		}
		s.keepAttachments(ctx, out.Digest, list)
	}
	if s.deps.State == "" {
		return list, nil
	}
	for _, a := range list {
		if err := writeWhole(filepath.Join(s.deps.State, a.file()), a.Content); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *Step) writeAttachments(ctx context.Context, in In, below []base, out Out) ([]Attachment, error) {
	bill, err := s.bill(ctx, in, below)
	if err != nil {
		return nil, fmt.Errorf("list what the image is made of: %w", err)
	}
	var list []Attachment
	for _, name := range s.config.wantsAttachments() {
		a := Attachment{Name: name}
		if name == attachedSBOM {
			a.MediaType, a.Predicate = sbom.MediaType, "https://cyclonedx.org/bom"
			a.Content, err = bill.Write()
		} else {
			a.MediaType, a.Predicate, a.Statement = "application/vnd.in-toto+json", slsaPredicate, true
			a.Content, err = provenance(in, below, out, bill)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func (s *Step) keepAttachments(ctx context.Context, digest string, list []Attachment) {
	kept := make([]keptAttachment, len(list))
	blobs := make([]cache.Descriptor, len(list))
	for i, a := range list {
		blob, err := s.keep(ctx, a.Name, a.MediaType, a.Content)
		if err != nil {
			return // the cache breaks no build; it is told of by whoever needs it
		}
		a.Content = nil
		kept[i], blobs[i] = keptAttachment{a, blob}, blob
	}
	cache.Keep(ctx, s.deps.Cache, s.config.attachmentsKey(digest), kept, blobs)
}

// writeWhole replaces a file by renaming, and leaves alone one that holds the
// same.
func writeWhole(file string, content []byte) error {
	if is, err := os.ReadFile(file); err == nil && bytes.Equal(is, content) {
		return nil
	}
	if err := atomicfile.Write(file, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// compact writes JSON without blanks.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
