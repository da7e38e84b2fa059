package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/config"
)

// Exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1 // the operation failed: the server said no, or mail was not delivered
	ExitUsage       = 2 // arguments, configuration or data are not usable
	ExitUnreachable = 3 // no server answers
)

// An Env is the world of one run: its streams, its variables and the rooms that serve.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // as os.Environ returns it
	Terminal       bool     // Stdout is a terminal
	Version        string

	// Run serves until ctx ends. Errors may carry an exit code by a method ExitCode() int.
	Run func(ctx context.Context, cfg config.Config) error
	// Offline returns the API with the operator's authority while no server runs; the
	// data folder is locked until the closer is closed. An error that wraps
	// store.ErrLocked means that a server has it.
	Offline func(ctx context.Context, cfg config.Config) (http.Handler, io.Closer, error)
	// RunLab serves with the lab beside the server until ctx ends.
	RunLab func(ctx context.Context, o LabOptions) error
}

// LabOptions are the choices for a server with the lab.
type LabOptions struct {
	Dir    string // data folder
	Listen string // address of the API, on loopback
}

// An ExitError is an error with the exit code it leads to.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the error's text.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode returns the code.
func (e *ExitError) ExitCode() int { return e.Code }

// usagef makes an error about arguments, configuration or data.
func usagef(format string, args ...any) error {
	return &ExitError{ExitUsage, fmt.Errorf(format, args...)}
}

// errQuiet ends a command that failed and has said everything already.
var errQuiet = errors.New("failed")

// commandLine is the model of all commands.
type commandLine struct {
	globals

	Serve       serveCmd       `cmd:"" help:"Run the server until it is interrupted."`
	Init        initCmd        `cmd:"" help:"Write a commented configuration, create the data folder and print the first API key, once."`
	CheckConfig checkConfigCmd `cmd:"" help:"Report every mistake in the configuration and the files it names."`
	Doctor      doctorCmd      `cmd:"" help:"Look for what would keep the server from working on this host."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Key         keyCmds        `cmd:"" help:"API keys."`
	Domain      domainCmds     `cmd:"" help:"Sending domains."`
	Credential  credentialCmds `cmd:"" help:"Submission logins."`
	Account     accountCmds    `cmd:"" help:"Sub-accounts, whose domains and keys no other account sees."`
	Send        sendCmd        `cmd:"" help:"Send a message."`
	Events      eventsCmd      `cmd:"" help:"Show what happened to messages."`
	Message     messageCmds    `cmd:"" help:"Accepted messages."`
	Queue       queueCmds      `cmd:"" help:"Mail that waits."`
	TLS         tlsCmds        `cmd:"" name:"tls" help:"TLS of recipient domains."`
	Webhook     webhookCmds    `cmd:"" help:"Webhooks: how they are doing, and what they were told."`
	Audit       auditCmd       `cmd:"" help:"Show who changed what, when, why, and from which value."`
	Lab         labCmds        `cmd:"" help:"Local receivers, each with another TLS behaviour, to watch what the two flags do."`
}

// globals are the flags of every command.
type globals struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file. Without it: ./sealpost.toml, then /etc/sealpost/sealpost.toml."`
	Output string `short:"o" enum:"table,json" default:"table" placeholder:"table|json" help:"Print a table for people (the default) or JSON for programs."`
	URL    string `name:"url" placeholder:"URL" help:"Address of the server's API, or SEALPOST_URL. Without it the server of this host's configuration is asked through its socket."`
	Key    string `name:"key" placeholder:"KEY" help:"API key for --url. SEALPOST_API_KEY is better: arguments can be seen by everybody on the host."`
	ActFor string `name:"account" placeholder:"ID" help:"Act for this sub-account: make its keys and domains, see only what is its own."`
}

// Main runs one command line (without the program's name) and returns its exit code.
func Main(ctx context.Context, env Env, args []string) int {
	var line commandLine
	helped := false
	parser, err := newParser(&line, env, func(int) { helped = true })
	if err != nil {
		return report(env, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return ExitOK // what else is wrong with the line does not matter
	}
	if err != nil {
		return report(env, parseError(err))
	}
	s := &session{env: env, globals: line.globals}
	defer s.close()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(env, parsed.Run(s))
}

// newParser reads the model. exit is called after help was printed.
func newParser(line *commandLine, env Env, exit func(int)) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("sealpost"),
		kong.Description("Sealpost takes your application's mail, delivers it under the TLS rules you ask for, and tells the truth about how it travelled.\n\n"+
			"Exit codes: 0 done; 1 the operation failed (the server said no, or mail was not delivered); "+
			"2 arguments, configuration or data cannot be used; 3 no server answers."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
}

// parseError turns the parser's complaint into one that names the remedy.
func parseError(err error) error {
	hint := "sealpost --help"
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil {
		if node := p.Context.Selected(); node != nil {
			hint = node.FullPath() + " --help"
		}
	}
	return usagef("%w; see: %s", err, hint)
}

// report prints an error and returns the exit code it leads to.
func report(env Env, err error) int {
	if err == nil {
		return ExitOK
	}
	if !errors.Is(err, errQuiet) {
		for i, line := range strings.Split(explain(err), "\n") {
			if i == 0 {
				line = "sealpost: " + line
			}
			_, _ = fmt.Fprintln(env.Stderr, clean(line)) // nobody is left to be told
		}
	}
	return exitCode(err)
}

// explain returns an error's text, with what to do next where we know it.
func explain(err error) string {
	text := err.Error()
	if no, ok := errors.AsType[*apiclient.Error](err); ok {
		switch no.Status {
		case http.StatusUnauthorized:
			text = "the server does not accept this API key for that: " + text + "; check --key or SEALPOST_API_KEY"
		case http.StatusNotFound:
			if strings.HasPrefix(no.Message, "Domain not found") {
				text += "; see: sealpost domain list"
			}
		case http.StatusForbidden:
			if strings.Contains(no.Message, "unverified") {
				text += "; see the records with: sealpost domain show, then: sealpost domain verify"
			}
		}
	}
	if away, ok := errors.AsType[*apiclient.Unreachable](err); ok && strings.HasPrefix(away.Target, "http") {
		text += "; check the address, and that the server runs"
	}
	if errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	return text
}

// exitCode returns the code that an error leads to.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	if _, ok := errors.AsType[*apiclient.Unreachable](err); ok {
		return ExitUnreachable
	}
	if _, ok := errors.AsType[*config.Error](err); ok || errors.Is(err, config.ErrNoFile) {
		return ExitUsage
	}
	return ExitFailed
}
