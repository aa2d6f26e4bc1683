package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
)

// Parent and init talk over one SOCK_SEQPACKET socket pair: a packet is one
// JSON message, sometimes with one file descriptor. The first packet is the
// Spec, the answer to it has id 0; then the parent asks and the init answers by id.
// The end of the socket is the end of the parent.

// maxPacket bounds a message; the kernel's default socket buffer is 208 KiB.
const maxPacket = 192 << 10

// operation is what the parent asks the init to do.
type operation string

const (
	opSignal  operation = "signal"  // send Signal to the program
	opDial    operation = "dial"    // connect to Port; the answer carries the socket
	opSockets operation = "sockets" // list listening sockets
	opExec    operation = "exec"    // run Args beside the program
	opKill    operation = "kill"    // kill the exec with id Target
)

type request struct {
	ID     uint64
	Op     operation
	Signal syscall.Signal `json:",omitempty"`
	Port   int            `json:",omitempty"`
	Args   []string       `json:",omitempty"`
	Target uint64         `json:",omitempty"`
}

type answer struct {
	ID        uint64
	Error     string        `json:",omitempty"`
	Errno     syscall.Errno `json:",omitempty"` // the cause, where the kernel gave one
	Start     bool          `json:",omitempty"` // Error is about the program, not about the container
	Listeners []Listener    `json:",omitempty"`
	Code      int           `json:",omitempty"`
	Output    string        `json:",omitempty"`
}

// failure is the answer that carries err, or an empty one.
func failure(id uint64, err error) answer {
	a := answer{ID: id}
	if err != nil {
		a.Error = err.Error()
		_ = errors.As(err, &a.Errno)
	}
	return a
}

// err is the error that failure was given, as far as it travels: its text and
// the kernel's number.
func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return &remoteError{text: a.Error, errno: a.Errno}
}

type remoteError struct {
	text  string
	errno syscall.Errno
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// packets is one end of the socket pair.
type packets struct{ conn *net.UnixConn }

func newPackets(f *os.File) (packets, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return packets{}, err
	}
	return packets{conn.(*net.UnixConn)}, nil
}

// send writes one message; file, when not nil, travels with it. Concurrent
// calls are safe: packets do not mix.
func (p packets) send(v any, file *os.File) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(raw) > maxPacket {
		return fmt.Errorf("message of %d bytes: at most %d", len(raw), maxPacket)
	}
	var rights []byte
	if file != nil {
		rights = syscall.UnixRights(int(file.Fd()))
		defer runtime.KeepAlive(file)
	}
	_, _, err = p.conn.WriteMsgUnix(raw, rights, nil)
	return err
}

// receive reads one message into v and returns the file that came with it.
// io.EOF when the other end is gone.
func (p packets) receive(v any) (*os.File, error) {
	buf := make([]byte, maxPacket+1)
	oob := make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := p.conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, err
	}
	file := receivedFile(oob[:oobn])
	if err := json.Unmarshal(buf[:n], v); err != nil {
		if file != nil {
			file.Close()
		}
		return nil, fmt.Errorf("read a message: %w", err)
	}
	return file, nil
}

func receivedFile(oob []byte) *os.File {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	syscall.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "received")
}
