package mvn

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// The report is looked at anew after a hundredth of the time that Maven has
// been running, within these bounds: Maven tells what is waited for at its
// second second or at its hundredth, and a look takes some microseconds.
const (
	leastWait = 20 * time.Millisecond
	mostWait  = 250 * time.Millisecond
)

// Follow calls tell, while Maven runs, each time that a module's dependencies
// have been resolved, with the modules as far as they are known: their
// beginnings and their resolutions, nothing of their ends. It ends when tell
// returns true, or by stop, which waits for a running tell. What cannot be read
// is not told: Report says why.
func (w *Watch) Follow(tell func([]*Project) (enough bool)) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		f := follower{path: w.report()}
		defer f.close()
		began := time.Now()
		for {
			wait := min(max(time.Since(began)/100, leastWait), mostWait)
			select {
			case <-done:
				return
			case <-time.After(wait):
			}
			if news, ok := f.read(); !ok || news && tell(f.report.Projects) {
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		ended.Wait()
	})
}

// follower reads a report that grows.
type follower struct {
	path   string
	file   *os.File // nil until there is one
	in     *bufio.Reader
	part   []byte // of a line that has no end yet
	report Report
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close() // it was only read
	}
}

// read reads the lines that were added; news tells that one of them has
// dependencies, ok that it makes sense to read on.
func (f *follower) read() (news, ok bool) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if err != nil {
			return false, os.IsNotExist(err)
		}
		f.file, f.in = file, bufio.NewReaderSize(file, 64<<10)
	}
	for {
		text, err := f.in.ReadBytes('\n')
		f.part = append(f.part, text...)
		if err != nil {
			return news, err == io.EOF
		}
		line := f.part
		f.part = f.part[:0]
		resolution := bytes.HasPrefix(line, []byte(`{"event":"dependencies"`))
		if !resolution && !bytes.HasPrefix(line, []byte(`{"event":"project"`)) {
			continue
		}
		if err := f.report.add(bytes.TrimSpace(line)); err != nil {
			return false, false
		}
		news = news || resolution
	}
}
