package live

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guardName is the name (argv[0]) with which a process of this program runs as a guard.
const guardName = "gotrace: restores the terminal"

// guard is a process that restores the terminal if this process ends without doing so: if
// it is killed, or if the Go runtime ends it because of an error in any goroutine. A nil
// guard does nothing.
type guard struct {
	pipe *os.File
}

// newGuard starts a guard of the terminal. If that fails, there is none.
func newGuard(in, out *os.File) *guard {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer r.Close()
	report, crash, err := os.Pipe()
	if err != nil {
		w.Close()
		return nil
	}
	defer report.Close()
	defer crash.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{guardName}, Dir: "/", Env: []string{},
		Stdin: in, Stdout: out, Stderr: os.Stderr, ExtraFiles: []*os.File{r, report},
		// A signal for all processes of this group does not reach it.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if cmd.Start() != nil {
		w.Close()
		return nil
	}
	go func() { _ = cmd.Wait() }()                        // so that it does not become a zombie if it is killed
	_ = debug.SetCrashOutput(crash, debug.CrashOptions{}) // else the report is on the view's screen only
	return &guard{w}
}

// watch sets the mode of the terminal that the guard restores when this process ends. If
// mode is nil, the guard restores nothing.
func (g *guard) watch(mode *unix.Termios) {
	if g == nil {
		return
	}
	b := make([]byte, guardRecord)
	if mode != nil {
		b[0] = 1
		copy(b[1:], bytesOf(mode))
	}
	_, _ = g.pipe.Write(b) // it fails if the guard was killed
}

// guardRecord is the size of a message of watch: whether to restore the mode, and the
// mode.
const guardRecord = 1 + int(unsafe.Sizeof(unix.Termios{}))

// bytesOf returns the memory of a mode.
func bytesOf(mode *unix.Termios) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(mode)), unsafe.Sizeof(*mode))
}

// Guard does not return if this process is a guard. It must be called first.
func Guard() {
	if len(os.Args) != 1 || os.Args[0] != guardName {
		return
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTOU, unix.SIGTTIN, unix.SIGPIPE)
	crash := make(chan []byte, 1)
	go func() {
		text, _ := io.ReadAll(os.NewFile(4, "crash"))
		crash <- text
	}()
	control := os.NewFile(3, "control")
	last, next := make([]byte, guardRecord), make([]byte, guardRecord)
	for {
		if _, err := io.ReadFull(control, next); err != nil {
			break
		}
		last, next = next, last
	}
	text := <-crash
	if last[0] != 0 {
		var mode unix.Termios
		copy(bytesOf(&mode), last[1:])
		_ = unix.IoctlSetTermios(0, unix.TCSETS, &mode) // an error means that the terminal is gone
		_, _ = os.Stdout.WriteString(leaveView)
		_, _ = os.Stderr.Write(text)
	}
	os.Exit(0)
}
