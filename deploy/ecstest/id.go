package ecstest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// next returns 32 bytes that no other call returns: the same in every run, so
// that a seed replays to the letter.
func (d *Double) next() [32]byte {
	d.world.serial++
	return sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", d.account, d.region, d.world.serial))
}

func (d *Double) hexID() string {
	b := d.next()
	return hex.EncodeToString(b[:16])
}

func (d *Double) uuid() string {
	h := d.hexID()
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// number is the 19 digits of deployments and service revisions.
func (d *Double) number() string {
	b := d.next()
	return fmt.Sprintf("%019d", binary.BigEndian.Uint64(b[:8])%9e18+1e18)[:19]
}

// shortID is the 21 characters of a service deployment.
func (d *Double) shortID() string {
	b := d.next()
	return base64.RawURLEncoding.EncodeToString(b[:])[:21]
}

// arn makes "arn:aws:ecs:region:account:" + kind + "/" + the parts.
func (d *Double) arn(kind string, parts ...string) string {
	return "arn:aws:ecs:" + d.region + ":" + d.account + ":" + kind + "/" + strings.Join(parts, "/")
}

// afterSlash returns what stands behind an ARN's last slash, or all of a name.
func afterSlash(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
