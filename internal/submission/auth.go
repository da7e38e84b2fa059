package submission

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// errCancelled: the client gave up the exchange with "*".
var errCancelled = errors.New("authentication cancelled")

// errDecode: not base64, or not what the mechanism says.
var errDecode = errors.New("cannot decode response")

// mayAuth reports whether passwords are taken: in TLS only (SEC-06), unless the operator
// wants it otherwise.
func (ss *session) mayAuth() bool { return ss.secure || ss.server.cfg.AuthWithoutTLS }

// auth runs AUTH PLAIN (RFC 4616) or AUTH LOGIN.
func (ss *session) auth(ctx context.Context, c command) (last bool) {
	switch {
	case !ss.mayAuth() && ss.server.tls != nil && !ss.server.mayTLS():
		return ss.blunder(replyNotYet)
	case !ss.mayAuth():
		return ss.blunder(replyAuthPlain)
	case !ss.helo || ss.login != "" || ss.tx.open:
		return ss.blunder(replySequence)
	}
	mechanism, initial, hasInitial := strings.Cut(c.args, " ")
	var login, password string
	var err error
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		login, password, err = ss.plain(initial, hasInitial)
	case "LOGIN":
		login, password, err = ss.loginMechanism(initial, hasInitial)
	default:
		return ss.blunder(&reply{504, "5.5.4", "Unrecognized authentication mechanism"})
	}
	switch {
	case errors.Is(err, errCancelled):
		return ss.blunder(&reply{501, "5.7.0", "Authentication cancelled"})
	case errors.Is(err, errDecode):
		return ss.blunder(&reply{501, "5.5.2", "Cannot decode response"})
	case err != nil:
		ss.close(readFailure(err))
		return true
	}
	return ss.check(ctx, login, password)
}

// check has the credentials evaluated and answers.
func (ss *session) check(ctx context.Context, login, password string) (last bool) {
	domain, ok, err := ss.server.creds.Check(ctx, ss.addr, login, password)
	switch {
	case err != nil:
		ss.log(ctx, slog.LevelWarn, "login not evaluated", "cause", err)
		ss.close(&reply{421, "4.7.0", "Authentication is not possible now, try again later"})
		return true
	case !ok:
		ss.log(ctx, slog.LevelInfo, "login failed")
		if ss.logins++; ss.logins >= maxLogins {
			ss.close(&reply{421, "4.7.0", "Too many failed logins"})
			return true
		}
		return ss.blunder(&reply{535, "5.7.1", "Authentication failed"})
	}
	ss.login, ss.domain = strings.ToLower(login), domain
	ss.say(&reply{235, "2.7.0", "Authentication successful"})
	return false
}

func (ss *session) plain(initial string, given bool) (login, password string, err error) {
	if !given {
		if initial, err = ss.ask(""); err != nil {
			return "", "", err
		}
	}
	return decodePlain(initial)
}

// decodePlain reads authzid NUL authcid NUL password in base64. We act for nobody
// but the one who logs in, so the first must be empty or the second.
func decodePlain(response string) (login, password string, err error) {
	raw, err := decodeBase64(response)
	if err != nil {
		return "", "", err
	}
	parts := strings.Split(raw, "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[0] != "" && parts[0] != parts[1] {
		return "", "", errDecode
	}
	return parts[1], parts[2], nil
}

func (ss *session) loginMechanism(initial string, given bool) (login, password string, err error) {
	if !given {
		if initial, err = ss.ask("VXNlcm5hbWU6"); err != nil { // Username:
			return "", "", err
		}
	}
	if login, err = decodeBase64(initial); err != nil {
		return "", "", err
	}
	response, err := ss.ask("UGFzc3dvcmQ6") // Password:
	if err != nil {
		return "", "", err
	}
	password, err = decodeBase64(response)
	if strings.ContainsRune(login+password, 0) || login == "" {
		return "", "", errDecode
	}
	return login, password, err
}

// ask sends a challenge and returns the client's line.
func (ss *session) ask(challenge string) (string, error) {
	ss.say(&reply{334, "", challenge})
	if err := ss.out.Flush(); err != nil {
		return "", err
	}
	ss.in.awaitCommand()
	line, err := ss.readLine(maxAuthLine)
	if err != nil {
		return "", err
	}
	ss.in.gotCommand()
	if line == "*" {
		return "", errCancelled
	}
	return line, nil
}

// decodeBase64 reads strict base64 of valid UTF-8; "=" stands for nothing (RFC 4954 section 4).
func decodeBase64(s string) (string, error) {
	if s == "=" {
		return "", nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || !utf8.Valid(raw) {
		return "", errDecode
	}
	return string(raw), nil
}
