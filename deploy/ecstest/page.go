package ecstest

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// paging is what every List operation takes.
type paging struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int    `json:"maxResults"`
}

// page cuts all down to one page and puts it into out under key, with the
// token of the next one where there is one.
func page[T any](p paging, out object, key string, all []T, limit int) (object, error) {
	if p.MaxResults != nil {
		if *p.MaxResults < 1 || *p.MaxResults > 100 {
			return nil, invalid("maxResults must be between 1 and 100.")
		}
		limit = *p.MaxResults
	}
	start := 0
	if p.NextToken != nil && *p.NextToken != "" {
		raw, err := base64.StdEncoding.DecodeString(*p.NextToken)
		n, err2 := strconv.Atoi(strings.TrimPrefix(string(raw), "from:"))
		if err != nil || err2 != nil || n < 0 {
			return nil, invalid("Invalid token.")
		}
		start = min(n, len(all))
	}
	end := min(start+limit, len(all))
	if all == nil {
		all = []T{}
	}
	out[key] = all[start:end]
	if end < len(all) {
		out["nextToken"] = base64.StdEncoding.EncodeToString([]byte("from:" + strconv.Itoa(end)))
	}
	return out, nil
}

// missing is an entry of failures[].
func missing(arn string) object { return object{"arn": arn, "reason": "MISSING"} }

// wantsTags tells whether a Describe call includes TAGS.
func wantsTags(include []string) bool { return slices.Contains(include, "TAGS") }
