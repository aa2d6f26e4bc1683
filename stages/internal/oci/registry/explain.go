package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
)

// ErrStalled is a connection over which nothing goes any more, though nobody
// has closed it.
var ErrStalled = errors.New("the connection stalled")

// ErrGone is a registry that has answered, and cannot be reached any more: one
// that is being started anew, perhaps.
var ErrGone = errors.New("it answered a moment ago")

// temporary tells whether the same request may succeed a little later.
func temporary(err error) bool {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode >= 500 && e.StatusCode != http.StatusNotImplemented && e.StatusCode != http.StatusInsufficientStorage ||
			e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout ||
			has(e, transport.BlobUploadUnknownErrorCode) || has(e, transport.BlobUploadInvalidErrorCode)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return errors.Is(err, ErrGone) // else nobody is there; the user should hear of it now
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok && strings.Contains(err.Error(), "malformed MIME header") {
		return true // an answer that was cut in the middle of a header
	}
	return errors.Is(err, ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		strings.Contains(errorText(err), "http2: server sent GOAWAY") || isTimeout(err)
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func has(e *transport.Error, code transport.ErrorCode) bool {
	return slices.ContainsFunc(e.Errors, func(d transport.Diagnostic) bool { return d.Code == code })
}

// Unreachable tells that a registry gave no answer of its own: nobody was
// there, the connection was cut, or it is out of order. A certificate that is
// not trusted, or plain http where that is refused, is something else.
func Unreachable(err error) bool {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests
	}
	_, isNet := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	return isNet || isDNS || isTimeout(err) || err != nil && temporary(err)
}

// HasCode tells whether err is a registry's refusal for that reason.
func HasCode(err error, code transport.ErrorCode) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && has(e, code)
}

// StatusOf returns the HTTP status of a registry's refusal, or 0.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode
	}
	return 0
}

// Explain turns what went wrong while doing verb (“push to”, “pull”) with
// what into an error of that class, with the remedy. It returns an error that
// has a class already, and a context's error, as they are.
func Explain(class fault.Class, verb string, ref fmt.Stringer, reg name.Registry, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if fault.ClassOf(err) != fault.Internal {
		return err
	}
	host := reg.RegistryStr()
	what, hint := diagnose(host, err)
	if what == "" {
		return fault.New(class, hint, "%s %s: %w", verb, ref, err)
	}
	return fault.New(class, hint, "%s %s: %s: %w", verb, ref, what, err)
}

func diagnose(host string, err error) (what, hint string) {
	if errors.Is(err, errPlain) {
		return "", "give the registry a certificate, or set image.insecure: true"
	}
	if errors.Is(err, ErrNoRegistry) {
		return "", noRegistryHint
	}
	// What a second try by plain http was told says less than why https failed.
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isHost := errors.AsType[x509.HostnameError](err)
	_, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	if isUnknown || isHost || isInvalid {
		return "its certificate is not trusted", "add the registry's CA to this machine (SSL_CERT_FILE names a bundle)"
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return diagnoseStatus(host, e)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		if e.Name == name.DefaultRegistry {
			return "unknown host " + e.Name, "write the registry's host in front of the name, or let this machine reach Docker Hub"
		}
		return "unknown host " + e.Name, "correct the host's name, or check the network and the proxy (HTTPS_PROXY)"
	}
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case isRecord || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return host + " speaks plain http", "give the registry a certificate, or set image.insecure: true"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing answers at " + host, "start the registry, or correct its name"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), isTimeout(err):
		return host + " cannot be reached", "check the network and the proxy (HTTPS_PROXY)"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return host + " did not answer in time", "check the network and the proxy (HTTPS_PROXY)"
	}
	if temporary(err) {
		return "the connection was cut, again and again", "check the network, and whether a proxy on the way limits the size or the time of requests"
	}
	return "", ""
}

const noRegistryHint = "correct the address, or what stands before the registry: a proxy or a login page"

func diagnoseStatus(host string, e *transport.Error) (what, hint string) {
	switch {
	case e.StatusCode < 400:
		return "an answer that no registry gives", noRegistryHint
	case e.StatusCode == http.StatusUnauthorized:
		return "no valid login for " + host, loginHint(host)
	case has(e, transport.NameUnknownErrorCode):
		return "the repository does not exist", "create it, or correct the name"
	case has(e, transport.TooManyRequestsErrorCode) || e.StatusCode == http.StatusTooManyRequests:
		return "too many requests", "try again later, or log in: docker login " + host
	case isQuota(e):
		return "the registry has no room left for this", "free space in the registry, or raise its quota"
	case e.StatusCode == http.StatusForbidden && isECR(host):
		return "refused", "check that the role may use ecr:GetAuthorizationToken and, on the repository, ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage, ecr:BatchGetImage"
	case e.StatusCode == http.StatusForbidden:
		return "refused", "log in as a user who may do this: docker login " + host
	case e.StatusCode == http.StatusRequestEntityTooLarge:
		return "a proxy before the registry takes no bodies of this size", "raise its limit (nginx: client_max_body_size 0)"
	case e.StatusCode == http.StatusMethodNotAllowed:
		return "this is not allowed there", "push to a registry that takes images: a read-only one and a mirror take none"
	case e.StatusCode >= 500 && e.StatusCode != http.StatusNotImplemented:
		return host + " is out of order", "try again later; the log of the registry, or of the proxy before it, says more"
	}
	return "", ""
}

// isQuota tells that a refusal is about room: 507, or what registries and
// their disks say. The words are Harbor's, GitLab's, the kernel's, and its
// number as distribution 2.8 tells it.
func isQuota(e *transport.Error) bool {
	if e.StatusCode == http.StatusInsufficientStorage {
		return true
	}
	return slices.ContainsFunc(e.Errors, func(d transport.Diagnostic) bool {
		text := strings.ToLower(d.String())
		return strings.Contains(text, "quota") || strings.Contains(text, "will exceed the configured upper limit") || strings.Contains(text, "no space left on device") || strings.Contains(text, fmt.Sprintf("err:%d ", syscall.ENOSPC))
	})
}

func loginHint(host string) string {
	if isECR(host) {
		return "log in to AWS (aws sso login) or name the right profile (AWS_PROFILE)"
	}
	return "run docker login " + host
}

func isECR(host string) bool {
	return strings.Contains(host, ".dkr.ecr.") || strings.HasPrefix(host, "public.ecr.aws")
}
