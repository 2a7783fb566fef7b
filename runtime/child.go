package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/procstat"
)

// Child is a program started to be traced (-c). Its process exists from the start,
// so that probes can be attached to it. Until resume it runs only the few
// instructions of stub.go: it waits for a byte on a socket and then executes the
// program. The Go runtime never runs in that process, so probes see only the
// program.
type Child struct {
	cmd  *exec.Cmd
	sock int // our end; the stub has the other end as descriptor 3
	done chan struct{}
	err  error // how the child ended, valid once done is closed
	ran  bool
}

// Streams are the standard streams of a child. The ones that are nil are connected to
// /dev/null.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// notExecutable is the error for a command that cannot be executed, in the words of bpftrace.
type notExecutable struct {
	path string
	err  error
}

func (e *notExecutable) Error() string {
	return "Path '" + e.path + "' does not exist or is not executable (" + e.err.Error() + ")"
}

func (e *notExecutable) Unwrap() error { return e.err }

// StartChild creates the process for a command line. It splits the line as a shell
// does. The first word is a path or a name to look up in PATH.
func StartChild(cmdline string, std Streams) (*Child, error) {
	args := splitWords(cmdline)
	if len(args) == 0 {
		return nil, errors.New("the command is empty")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		var e *exec.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &notExecutable{args[0], err}
	}
	stub, err := stubFile()
	if err != nil {
		return nil, outline.Errorf("cannot prepare the command: %w", err)
	}
	defer stub.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "stub")
	defer theirs.Close()
	c := &Child{sock: pair[0], done: make(chan struct{})}
	c.cmd = &exec.Cmd{
		Path:       fmt.Sprintf("/proc/self/fd/%d", stub.Fd()),
		Args:       append([]string{filepath.Base(os.Args[0]), path}, args...),
		Stdin:      std.In,
		Stdout:     std.Out,
		Stderr:     std.Err,
		WaitDelay:  grace,
		ExtraFiles: []*os.File{theirs},
		// The child must not outlive this process, even if it is killed. The kernel
		// sends the signal when the thread that started the child ends. Go ends a
		// thread only if a goroutine locked to it returns.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
	}
	if err := c.cmd.Start(); err != nil {
		unix.Close(pair[0])
		return nil, outline.Errorf("cannot start %q: %w", args[0], err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// PID returns the child's process ID.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Files returns the files that the program has mapped when it starts.
func (c *Child) Files() []string { return filesOfProgram(c.cmd.Args[1]) }

// settleIn limits the time until the child waits for its byte. On a busy machine it takes
// less, so when the time is over, something has stopped the child.
const settleIn = time.Minute

// settle returns when the child waits for resume. Otherwise probes would see the system
// call in which it waits. If /proc does not show the state, settle assumes that the child
// already waits.
func (c *Child) settle() {
	for began := time.Now(); time.Since(began) < settleIn; time.Sleep(100 * time.Microsecond) {
		stat, ok := procstat.Read(fmt.Sprintf("/proc/%d", c.PID()))
		if !ok || stat.Text(procstat.State) != "R" && stat.Text(procstat.State) != "D" {
			return
		}
	}
}

// resume makes the child execute its program. It returns an error if that fails.
func (c *Child) resume() error {
	c.ran = true
	if _, err := unix.Write(c.sock, []byte{1}); err != nil {
		return outline.Errorf("cannot run %q: it is gone", c.cmd.Args[1])
	}
	// If execve succeeds, the socket is closed. Otherwise the stub sends errno.
	var b [8]byte
	for {
		n, err := unix.Read(c.sock, b[:])
		if err == unix.EINTR {
			continue
		}
		if n == len(b) {
			return outline.Errorf("cannot run %q: %w", c.cmd.Args[1], unix.Errno(binary.NativeEndian.Uint64(b[:])))
		}
		return nil
	}
}

// grace is the time that a child has to end after SIGTERM before it is killed.
const grace = time.Second

// askToEnd sends SIGTERM to the child if it is still running.
func (c *Child) askToEnd() {
	select {
	case <-c.done:
	default:
		if c.sock >= 0 && !c.ran { // the stub exits when the socket is closed
			unix.Shutdown(c.sock, unix.SHUT_RDWR)
		} else {
			c.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

// terminate ends the child if it is still running, and waits for it.
func (c *Child) terminate() {
	select {
	case <-c.done:
	default:
		c.askToEnd()
		select {
		case <-c.done:
		case <-time.After(grace):
			c.cmd.Process.Kill()
			<-c.done
		}
	}
	if c.sock >= 0 {
		unix.Close(c.sock)
		c.sock = -1
	}
}

// Ended describes how the child ended: "exited with code: 1" or "terminated by signal:
// 9". It is valid once the session is over.
func (c *Child) Ended() string {
	select {
	case <-c.done:
	default:
		return "is still running"
	}
	ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && ws.Signaled():
		return fmt.Sprintf("terminated by signal: %d", ws.Signal())
	default:
		return fmt.Sprintf("exited with code: %d", c.cmd.ProcessState.ExitCode())
	}
}

// Release ends a child that no session has run.
func (c *Child) Release() { c.terminate() }
