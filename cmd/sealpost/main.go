// Command sealpost is the mail delivery service and its commands in one program.
// What it can do is in package cli; here are only signals and the exit code.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sealpost/sealpost/internal/cli"
)

// version is set by the linker for releases.
var version = "unknown"

func main() { os.Exit(run()) }

// run ends the command's context at the first signal. A second one ends the program at
// once, for those who do not want to wait until the server has drained.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return cli.Main(ctx, cli.System(buildVersion()), os.Args[1:])
}

// buildVersion is the linker's version, else the one that Go noted when it built the program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); version == "unknown" && ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return version
}
