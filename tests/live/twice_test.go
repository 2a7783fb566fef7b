package live

import (
	"strings"
	"syscall"
	"testing"
)

// TestTwice traces functions that another session traces already, by calls, returns,
// instructions of Go that return and static probes. Each session has all events.
func TestTwice(t *testing.T) {
	native(t)
	bin := goProgram(t)
	script := "uprobe:" + *work + ":gt_relative { @u = count(); } uretprobe:" + *work + ":gt_relative { @r = count(); } usdt:" + *work + ":gt:crowd { @s = count(); }" +
		"uprobe:" + bin + ":main.Many { @gu = count(); } uretprobe:" + bin + ":main.Many { @gr = count(); }"
	first := start(t, "-e", script)
	first.attached()
	second := start(t, "-e", script)
	second.attached()
	doWork(t, *work, "forks", "50")
	doWork(t, *work, "crowd", "2", "20") // 20 times in two threads and a child
	doWork(t, bin)
	for _, s := range []*session{second, first} {
		s.signal(syscall.SIGINT)
		r := s.wait()
		if want := "@gr: 1\n@gu: 1\n@r: 110\n@s: 60\n@u: 110"; strings.Join(strings.Fields(r.stdout), " ") != strings.Join(strings.Fields(want), " ") || r.status != 0 {
			t.Errorf("status %d, printed %s\nwant %s\n%s", r.status, r.stdout, want, r.stderr)
		}
	}
}
