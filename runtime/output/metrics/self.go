package metrics

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/output"
)

// Process returns a function that returns metrics of this process, under the names that
// Prometheus's client libraries use.
func Process(version string) func() []Family {
	began := time.Now()
	return func() []Family {
		one := func(name, help string, k Kind, n Number, l ...Label) Family {
			return Family{name, help, k, []Series{{Labels: l, Created: began, Value: n}}}
		}
		list := []Family{
			one(prefix+"build_info", "The version of gotrace.", Gauge, Int(1), Label{"version", ValidText(version)}),
			one("process_start_time_seconds", "Start of the process, in seconds since the epoch.", Gauge, Real(float64(began.UnixMilli())/1000)),
		}
		var u syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
			ns := u.Utime.Nano() + u.Stime.Nano()
			list = append(list, one("process_cpu_seconds", "CPU time of the process. It does not include that of the probes, which run in the processes that they trace.", Counter, Real(float64(ns)/1e9)))
		}
		if text, err := os.ReadFile("/proc/self/statm"); err == nil {
			if f := strings.Fields(string(text)); len(f) > 1 {
				if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					list = append(list, one("process_resident_memory_bytes", "Memory of the process.", Gauge, Int(pages*int64(os.Getpagesize()))))
				}
			}
		}
		return list
	}
}

// Lost is a sink that counts lost events and passes everything on.
type Lost struct {
	output.Sink
	n     atomic.Uint64
	began time.Time
}

// CountLost returns a Lost that passes everything on to s.
func CountLost(s output.Sink) *Lost { return &Lost{Sink: s, began: time.Now()} }

// Lost implements output.Sink.
func (l *Lost) Lost(n uint64) {
	l.n.Add(n)
	l.Sink.Lost(n)
}

// LostAt implements output.LostSink. If l.Sink does not accept the events, the caller
// reports them with Lost.
func (l *Lost) LostAt(at source.Span, n uint64) bool {
	s, ok := l.Sink.(output.LostSink)
	if !ok || !s.LostAt(at, n) {
		return false
	}
	l.n.Add(n)
	return true
}

// lostName is the name of the metric of lost events.
const lostName = prefix + "lost_events"

// family returns the metric, with the label script if that is not "".
func (l *Lost) family(script string) Family {
	s := Series{Created: l.began, Value: Int(int64(l.n.Load()))}
	if script != "" {
		s.Labels = []Label{{scriptLabel, ValidText(script)}}
	}
	return Family{lostName, "Events that were lost because there was no room for them in the ring buffer.", Counter, []Series{s}}
}
