package symbols

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
)

// BenchmarkStacks looks up 10,000 different stacks of 32 frames at random addresses of
// a program and its libraries. The User has cached nothing before.
func BenchmarkStacks(b *testing.B) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		b.Skip(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	pid := cmd.Process.Pid
	var maps []mapping
	for len(maps) < 4 {
		maps, _ = readMaps("/proc", pid)
	}
	for _, debug := range []bool{false, true} {
		b.Run(fmt.Sprintf("debug=%v", debug), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				u := NewUser(View{Demangle: true, Debug: debug})
				named := 0
				for range 10_000 {
					addrs := make([]uint64, 32)
					for i := range addrs {
						m := maps[r.IntN(len(maps))]
						addrs[i] = m.start + r.Uint64N(m.end-m.start)
					}
					for _, f := range u.Stack(pid, addrs) {
						if f.Name != "" {
							named++
						}
					}
				}
				b.ReportMetric(float64(named), "named")
			}
		})
	}
}
