package mtlsallowlist

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Redis tells how the replicas of Traefik share the store. Names, meaning and defaults are those of Traefik's
// rateLimit.redis.
type Redis struct {
	// Endpoints are one server as host:port, or some of those of a cluster. Default: "localhost:6379".
	Endpoints []string

	// Username and Password log in. Default: none.
	Username string
	Password string

	// PasswordFile is the path of a file with the password; white space at its end doesn't count. Default: none.
	PasswordFile string

	// PasswordEnv is the name of an environment variable of Traefik's with the password. Default: none.
	PasswordEnv string

	// DB is the number of the database, 0 to 65535; 0 with a cluster. Default: 0.
	DB string

	// TLS encrypts the connections, if it is there. Default: none.
	TLS *RedisTLS

	// ReadTimeout and WriteTimeout bound each read and write, DialTimeout each attempt to connect: durations, as in TTL.
	// Defaults: "3s", "3s" and "5s".
	ReadTimeout  string
	WriteTimeout string
	DialTimeout  string

	// Unknown takes the keys that are no option, so that New can refuse them.
	Unknown map[string]any `mapstructure:",remain"`
}

// RedisTLS tells how connections to Redis are encrypted, like Traefik's rateLimit.redis.tls.
type RedisTLS struct {
	// CA holds the certificates of the authorities that may vouch for the server, in PEM, or is the path of a file with
	// them. Default: the system's.
	CA string

	// Cert and Key are the client's certificate and key, in PEM, or paths of files with them. Default: none.
	Cert string
	Key  string

	// InsecureSkipVerify is whether any certificate of the server will do. Default: false.
	InsecureSkipVerify string

	// Unknown takes the keys that are no option, so that New can refuse them.
	Unknown map[string]any `mapstructure:",remain"`
}

// redisSettings are a Redis that has been read.
type redisSettings struct {
	endpoints    []string
	username     string
	password     string
	db           int
	tls          *tls.Config // nil: none
	readTimeout  time.Duration
	writeTimeout time.Duration
	dialTimeout  time.Duration
	text         string // the same for the same settings
}

// redis reads how a store is shared; nil if it isn't.
func (r *reader) redis(config *Redis) *redisSettings {
	if config == nil {
		return nil
	}
	r.unknown("redis.", r.unpooled(config.Unknown))
	s := &redisSettings{
		endpoints:    r.list("redis.endpoints", config.Endpoints, "localhost:6379"),
		username:     config.Username,
		password:     r.password(config),
		db:           r.number("redis.db", config.DB, 0, 0, 65535),
		readTimeout:  r.duration("redis.readTimeout", config.ReadTimeout, 3*time.Second),
		writeTimeout: r.duration("redis.writeTimeout", config.WriteTimeout, 3*time.Second),
		dialTimeout:  r.duration("redis.dialTimeout", config.DialTimeout, 5*time.Second),
	}
	for _, endpoint := range s.endpoints {
		if !isEndpoint(endpoint) {
			r.fault("redis.endpoints", withoutLogin(endpoint), `want host:port, e.g. "redis:6379"`)
		}
	}
	if s.username != "" && s.password == "" {
		r.fault("redis.username", s.username, "want a password, too")
	}
	if s.db != 0 && len(s.endpoints) > 1 {
		r.fault("redis.db", config.DB, "has no meaning in a cluster, which several endpoints are")
	}
	s.text = strings.Join([]string{
		strings.Join(s.endpoints, ","), s.username, s.password, strconv.Itoa(s.db),
		s.readTimeout.String(), s.writeTimeout.String(), s.dialTimeout.String(),
	}, "\n")
	if config.TLS != nil {
		s.tls = r.redisTLS(config.TLS, s)
	}
	return s
}

// poolOptions are those of Traefik's rateLimit.redis that have nothing to set here.
var poolOptions = []string{"poolSize", "minIdleConns", "maxActiveConns"}

// unpooled finds those of poolOptions, and returns the other unknown keys.
func (r *reader) unpooled(unknown map[string]any) map[string]any {
	others := map[string]any{}
	for key, value := range unknown {
		others[key] = value
	}
	for _, option := range poolOptions {
		for key := range unknown {
			if strings.EqualFold(key, option) {
				r.faults = append(r.faults, errors.New("redis."+option+": has no meaning here: a store has two connections to Redis, whatever comes"))
				delete(others, key)
			}
		}
	}
	return others
}

// withoutLogin returns what may be logged of a URL that was given as an endpoint.
func withoutLogin(text string) string {
	return text[strings.LastIndex(text, "@")+1:]
}

func isEndpoint(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, notNumber := strconv.Atoi(port)
	return err == nil && host != "" && notNumber == nil && number > 0 && number < 1<<16
}

// password tells no fault with the password in it.
func (r *reader) password(config *Redis) string {
	given := 0
	for _, text := range []string{config.Password, config.PasswordFile, config.PasswordEnv} {
		if text != "" {
			given++
		}
	}
	if given > 1 {
		r.faults = append(r.faults, errors.New("redis.password: want one of password, passwordFile and passwordEnv"))
	}
	switch {
	case config.PasswordFile != "":
		data, err := os.ReadFile(config.PasswordFile)
		if err != nil {
			r.fault("redis.passwordFile", config.PasswordFile, "%v", err)
			return ""
		}
		password := strings.TrimRight(string(data), " \t\r\n")
		if password == "" {
			r.fault("redis.passwordFile", config.PasswordFile, "want a file with a password")
		}
		return password
	case config.PasswordEnv != "":
		password := os.Getenv(config.PasswordEnv)
		if password == "" {
			r.fault("redis.passwordEnv", config.PasswordEnv, "want an environment variable of Traefik's that isn't empty")
		}
		return password
	}
	return config.Password
}

func (r *reader) redisTLS(config *RedisTLS, s *redisSettings) *tls.Config {
	r.unknown("redis.tls.", config.Unknown)
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.flag("redis.tls.insecureSkipVerify", config.InsecureSkipVerify)} //nolint:gosec // the user's choice
	ca := r.pem("redis.tls.ca", config.CA)
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			r.faults = append(r.faults, errors.New("redis.tls.ca: want certificates in PEM, or the path of a file with them"))
		}
	}
	cert, key := r.pem("redis.tls.cert", config.Cert), r.pem("redis.tls.key", config.Key)
	if len(cert) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			r.faults = append(r.faults, errors.New("redis.tls.cert, redis.tls.key: want a certificate and its key in PEM, or the paths of files with them: "+err.Error()))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	s.text += "\n" + strings.Join([]string{"tls", string(ca), string(cert), string(key), strconv.FormatBool(c.InsecureSkipVerify)}, "\n")
	return c
}

// pem returns what text is, or what is in the file with that path. It tells no fault with the key itself in it.
func (r *reader) pem(key, text string) []byte {
	if text == "" || strings.Contains(text, "-----BEGIN") {
		return []byte(text)
	}
	data, err := os.ReadFile(strings.TrimSpace(text))
	if err != nil && key == "redis.tls.key" {
		r.faults = append(r.faults, errors.New(key+": "+wantPEM))
	} else if err != nil {
		r.fault(key, text, wantPEM)
	}
	return data
}

const wantPEM = "want PEM, or the path of a file with it that can be read"
