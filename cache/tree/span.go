package tree

import "slices"

const (
	rangeGap  = 64 << 10 // bytes read for nothing rather than ask twice: less than a round trip's worth
	rangeSize = 4 << 20  // bytes of a request: small enough to keep 16 connections evenly busy
	rangeText = 2 << 20  // decoded bytes of a request for frames: many small files, which one writer is long at
	fileCost  = 64 << 10 // bytes that take as long to write as it takes to make a file
)

// span is one request: neighbouring files or frames of a blob.
type span struct {
	blob     *blob
	off, end int64
	decoded  int64 // of its frames
	entries  []Entry
}

// cost tells how long a span takes, in bytes.
func (s *span) cost() int { return int(s.end-s.off+s.decoded) + fileCost*len(s.entries) }

// cut makes requests of the wanted entries, the longest first.
func cut(want []Entry) (spans []*span, empty []Entry) {
	sorted := make([]Entry, 0, len(want))
	for _, e := range want {
		if e.at.blob == nil {
			empty = append(empty, e)
		} else {
			sorted = append(sorted, e)
		}
	}
	slices.SortFunc(sorted, byPlace)
	var last *span
	for i, e := range sorted {
		off, end, decoded := e.at.off, e.at.off+e.Size, int64(0)
		if e.at.blob.kind == framed {
			fr := e.at.of()
			off, end = fr.off, fr.off+fr.size
			if i == 0 || sorted[i-1].at.blob.digest != e.at.blob.digest || sorted[i-1].at.frame != e.at.frame {
				decoded = fr.raw
			}
		}
		if last != nil && last.takes(e.at.blob, off, end, decoded) {
			last.end = max(last.end, end)
			last.decoded += decoded
			last.entries = append(last.entries, e)
			continue
		}
		last = &span{e.at.blob, off, end, decoded, []Entry{e}}
		spans = append(spans, last)
	}
	slices.SortStableFunc(spans, func(a, b *span) int { return b.cost() - a.cost() })
	return spans, empty
}

// takes tells whether bytes of a blob are to come by the same request.
func (s *span) takes(o *blob, off, end, decoded int64) bool {
	if s.blob.digest != o.digest || o.kind == whole || off > s.end+rangeGap {
		return false
	}
	return end <= s.end || end-s.off <= rangeSize && s.decoded+decoded <= rangeText
}
