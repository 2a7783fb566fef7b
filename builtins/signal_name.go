package builtins

import (
	"strconv"
)

func signalName() *Def {
	return numberName("signal_name", "The text of a signal number.",
		`tracepoint:signal:signal_deliver { @[signal_name(args.sig)] = count(); }`,
		func(Checker) []string {
			const firstRealTime = 34 // the C library reserves those before it
			var rows []string
			for n := range maxSignal + 1 {
				switch {
				case n > 0 && n < len(signals):
					rows = append(rows, signals[n].text)
				case n >= firstRealTime:
					rows = append(rows, "Real-time signal "+strconv.Itoa(n-firstRealTime))
				default:
					rows = append(rows, "Unknown signal "+strconv.Itoa(n))
				}
			}
			return append(rows, "N/A")
		}, identity)
}
