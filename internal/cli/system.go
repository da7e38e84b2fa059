package cli

import (
	"context"
	"os"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
)

// System returns the world of this process: its own streams and variables, and the
// real server.
func System(version string) Env {
	info, err := os.Stdout.Stat()
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
		Version:  version,
		Run: func(ctx context.Context, cfg config.Config) error {
			return app.Run(ctx, cfg, app.Options{Version: version, Log: os.Stderr})
		},
		Offline: app.Offline,
		RunLab: func(ctx context.Context, o LabOptions) error {
			return app.RunLab(ctx, app.LabOptions{Dir: o.Dir, Listen: o.Listen, Version: version, Stdout: os.Stdout, Log: os.Stderr})
		},
	}
}
