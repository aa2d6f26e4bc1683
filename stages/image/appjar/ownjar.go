package appjar

import (
	"archive/zip"
	"crypto/sha256"
	"io"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/internal/zipfs"
)

// ownJar is a jar that this project's build made anew, at another time of day
// than the one before: it is written so that its bytes depend on its content
// alone.
type ownJar struct {
	entries  []entry // sorted, directories included, without the manifest
	manifest []byte  // nil for a jar that has none
	stored   bool    // entries are inflated: a layer's compressor does better
}

// entry is one of an own jar's.
type entry struct {
	name string
	file *zip.File // nil for directories
}

// newOwnJar takes the files of a jar by their names in it, adds every
// directory above them (class path scanners look directories up by name) and
// sorts the lot.
func newOwnJar(files map[string]*zip.File, manifest []byte) ownJar {
	j := ownJar{manifest: manifest}
	dirs := map[string]bool{}
	if manifest != nil {
		dirs["META-INF/"] = true
	}
	for name := range files {
		for i := strings.LastIndexByte(strings.TrimSuffix(name, "/"), '/'); i >= 0; i = strings.LastIndexByte(name[:i], '/') {
			dirs[name[:i+1]] = true
		}
		if strings.HasSuffix(name, "/") {
			dirs[name] = true
		} else if name != manifestName {
			j.entries = append(j.entries, entry{name, files[name]})
		}
	}
	for d := range dirs {
		j.entries = append(j.entries, entry{name: d})
	}
	slices.SortFunc(j.entries, func(x, y entry) int { return strings.Compare(x.name, y.name) })
	return j
}

// readOwnJar takes all of an archive.
func readOwnJar(archive *zipfs.Archive) (ownJar, error) {
	files := make(map[string]*zip.File, len(archive.Files()))
	for _, f := range archive.Files() {
		files[f.Name] = f
	}
	var manifest []byte
	if f := archive.Lookup(manifestName); f != nil {
		var err error
		if manifest, err = zipfs.Read(f, maxText); err != nil {
			return ownJar{}, err
		}
	}
	return newOwnJar(files, manifest), nil
}

// WriteTo writes the jar: the manifest first, then the entries by name, all
// with one constant time. Entries are copied as they are compressed, unless
// the jar is to be stored.
func (j ownJar) WriteTo(w io.Writer) (int64, error) {
	count := &sizes.Writer{W: w}
	z := zipfs.NewWriter(count)
	if j.manifest != nil {
		if err := z.Dir("META-INF/"); err != nil {
			return count.N, err
		}
		if err := z.Add(manifestName, j.manifest); err != nil {
			return count.N, err
		}
	}
	for _, e := range j.entries {
		var err error
		switch {
		case e.name == "META-INF/" && j.manifest != nil:
		case e.file == nil:
			err = z.Dir(e.name)
		case j.stored:
			err = z.Inflate(e.file, e.name)
		default:
			err = z.Copy(e.file, e.name)
		}
		if err != nil {
			return count.N, err
		}
	}
	err := z.Close()
	return count.N, err
}

// sum is the digest and the size of what WriteTo writes.
func (j ownJar) sum() (cache.Digest, int64, error) {
	h := sha256.New()
	n, err := j.WriteTo(h)
	return cache.FromSum(h.Sum(nil)), n, err
}

// open starts what WriteTo writes; when that is read, closer is closed.
func (j ownJar) open(closer io.Closer) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		defer closer.Close()
		_, err := j.WriteTo(w)
		w.CloseWithError(err)
	}()
	return r
}

// openOwnJar reads the archive that content holds. The jar lives until closer
// is closed.
func openOwnJar(content func() (io.ReaderAt, io.Closer, error), size int64) (j ownJar, closer io.Closer, err error) {
	r, closer, err := content()
	if err != nil {
		return j, nil, err
	}
	archive, err := zipfs.New(r, size)
	if err == nil {
		j, err = readOwnJar(archive)
	}
	if err != nil {
		closer.Close()
	}
	return j, closer, err
}
