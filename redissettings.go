package mtlsallowlist

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// Redis is how the replicas of Traefik share the store. Names, meaning and defaults are those of Traefik's
// rateLimit.redis.
type Redis struct {
	// Endpoints are one server as host:port, or some of those of a cluster. Default: "localhost:6379".
	Endpoints []string

	// Username and Password log in. Default: none.
	Username string
	Password string

	// PasswordFile is the path of a file with the password, below /run/secrets/ or, instead, below the folder that
	// MTLSALLOWLIST_SECRETS in Traefik's environment names; white space at its end doesn't count. Default: none.
	PasswordFile string

	// PasswordEnv is the name of an environment variable of Traefik's with the password; it begins with MTLSALLOWLIST_.
	// Default: none.
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

// RedisTLS is how connections to Redis are encrypted, like Traefik's rateLimit.redis.tls.
type RedisTLS struct {
	// CA holds the certificates of the authorities that may vouch for the server, in PEM, or is the path of a file with
	// them. Default: the system's.
	CA string

	// Cert and Key are the client's certificate and key, in PEM, or paths of files with them; the key's is one that
	// PasswordFile could have. Default: none.
	Cert string
	Key  string

	// InsecureSkipVerify is whether any certificate of the server will do. Default: false.
	InsecureSkipVerify string

	// Unknown takes the keys that are no option, so that New can refuse them.
	Unknown map[string]any `mapstructure:",remain"`
}

// redisSettings are a Redis that has been read.
type redisSettings struct {
	redis.Options
	options map[string]redisOption // by key
	text    string                 // the same for the same settings
}

// A redisOption is an option as it was written, and as it counts: a path, say, and what is in the file.
type redisOption struct{ written, value string }

// readRedis reads how a store is shared; nil if it isn't.
func readRedis(r *option.Reader, config *Redis) *redisSettings {
	if config == nil {
		return nil
	}
	s := &redisSettings{options: map[string]redisOption{}}
	s.Options = redis.Options{
		Endpoints:    r.List("redis.endpoints", config.Endpoints, "localhost:6379"),
		Username:     config.Username,
		Password:     redisPassword(r, config),
		DB:           r.Number("redis.db", config.DB, 0, 0, 65535),
		ReadTimeout:  r.Duration("redis.readTimeout", config.ReadTimeout, 3*time.Second),
		WriteTimeout: r.Duration("redis.writeTimeout", config.WriteTimeout, 3*time.Second),
		DialTimeout:  r.Duration("redis.dialTimeout", config.DialTimeout, 5*time.Second),
	}
	for i, endpoint := range s.Endpoints {
		if endpoint != "" && !isEndpoint(endpoint) {
			refuseEndpoint(r, i, s.Endpoints)
		}
	}
	if s.Username != "" && s.Password == "" {
		r.Fault("redis.username", s.Username, "want a password, too")
	}
	if s.DB != 0 && len(s.Endpoints) > 1 {
		r.Fault("redis.db", config.DB, "has no meaning in a cluster, which several endpoints are")
	}
	if config.TLS != nil {
		s.TLS = redisTLS(r, config.TLS, s)
	}
	servers := append([]string{}, s.Endpoints...)
	sort.Strings(servers)
	s.option("redis.endpoints", "", strings.Join(servers, ","))
	s.option("redis.username", "", s.Username)
	s.option("redis.password", fmt.Sprintf("%q %q %q", config.Password, config.PasswordFile, config.PasswordEnv), s.Password)
	s.option("redis.db", "", strconv.Itoa(s.DB))
	s.option("redis.readTimeout", "", s.ReadTimeout.String())
	s.option("redis.writeTimeout", "", s.WriteTimeout.String())
	s.option("redis.dialTimeout", "", s.DialTimeout.String())
	for _, key := range options {
		s.text += strconv.Quote(s.options[key].value) + " "
	}
	return s
}

// option takes note of an option. One that is written as it counts has nothing else written.
func (s *redisSettings) option(key, written, value string) {
	if written == "" {
		written = value
	}
	s.options[key] = redisOption{written: written, value: value}
}

// poolOptions are those of Traefik's rateLimit.redis that have nothing to set here.
var poolOptions = []string{"poolSize", "minIdleConns", "maxActiveConns"}

// unpooled finds those of poolOptions, and returns the other unknown keys.
func unpooled(r *option.Reader, unknown map[string]any) map[string]any {
	others := map[string]any{}
	for key, value := range unknown {
		others[key] = value
	}
	for _, option := range poolOptions {
		for key := range unknown {
			if strings.EqualFold(key, option) {
				r.Refuse("redis."+option, "has no meaning here: a store has two connections to Redis, whatever comes")
				delete(others, key)
			}
		}
	}
	return others
}

// refuseEndpoint reports what is wrong with an endpoint, and doesn't quote it: it may be a URL, or half of one, with a password
// in it.
func refuseEndpoint(r *option.Reader, i int, endpoints []string) {
	which := ""
	login := ""
	if len(endpoints) > 1 {
		which = fmt.Sprintf("number %d: ", i+1)
	}
	if strings.Contains(endpoints[i], "@") || strings.Contains(endpoints[i], "://") {
		login = "; user and password belong in redis.username and redis.passwordFile"
	}
	r.Refuse("redis.endpoints", which+`want host:port, e.g. "redis:6379"`+login)
}

// hostBytes are what the names of hosts are made of, and those of services and containers.
const hostBytes = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// isEndpoint is strict: whatever gets through is logged when it can't be reached.
func isEndpoint(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, notNumber := strconv.Atoi(port)
	ip, notIP := netip.ParseAddr(host)
	if notIP == nil {
		host = "ip" + ip.Zone()
	}
	isHost := host != "" && strings.Trim(host, hostBytes) == ""
	return err == nil && isHost && notNumber == nil && number > 0 && number < 1<<16
}

// redisPassword returns the password. What it reports quotes neither that, nor a file's path, nor a variable's name: somebody
// may have put the password there.
func redisPassword(r *option.Reader, config *Redis) string {
	given := 0
	for _, text := range []string{config.Password, config.PasswordFile, config.PasswordEnv} {
		if text != "" {
			given++
		}
	}
	switch {
	case given > 1:
		r.Refuse("redis.password", "want one of password, passwordFile and passwordEnv")
	case config.PasswordFile != "":
		password, err := option.ReadPassword(config.PasswordFile)
		if err != nil {
			r.Refuse("redis.passwordFile", err.Error())
		}
		return password
	case config.PasswordEnv != "":
		if !strings.HasPrefix(config.PasswordEnv, option.SecretPrefix) {
			r.Refuse("redis.passwordEnv", "want the name of an environment variable of Traefik's that begins with "+option.SecretPrefix)
			return ""
		}
		password := os.Getenv(config.PasswordEnv)
		if password == "" {
			r.Refuse("redis.passwordEnv", "want an environment variable of Traefik's that isn't empty")
		}
		return password
	}
	return config.Password
}

func redisTLS(r *option.Reader, config *RedisTLS, s *redisSettings) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.Flag("redis.tls.insecureSkipVerify", config.InsecureSkipVerify)} //nolint:gosec // the user's choice
	ca := readPEM(r, "redis.tls.ca", config.CA)
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			r.Refuse("redis.tls.ca", "want certificates in PEM, or the path of a file with them")
		}
	}
	cert, key := readPEM(r, "redis.tls.cert", config.Cert), readPEM(r, "redis.tls.key", config.Key)
	if len(cert) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil { // which may quote what there is instead
			r.Refuse("redis.tls.cert, redis.tls.key", "want a certificate and its key in PEM, or the paths of files with them")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	s.option("redis.tls.ca", config.CA, string(ca))
	s.option("redis.tls.cert", config.Cert, string(cert))
	s.option("redis.tls.key", config.Key, string(key))
	s.option("redis.tls.insecureSkipVerify", "", strconv.FormatBool(c.InsecureSkipVerify))
	return c
}

// readPEM returns what text is, or what is in the file with that path. A key doesn't leave Traefik, but whoever names the host
// could have themselves taken for Traefik there: so it is from the folder of secrets. Certificates are public.
func readPEM(r *option.Reader, key, text string) []byte {
	if text == "" || strings.Contains(text, "-----BEGIN") {
		return []byte(text)
	}
	var data []byte
	var err error
	if key == "redis.tls.key" {
		data, err = option.ReadSecret(strings.TrimSpace(text))
	} else {
		data, err = option.ReadFile(strings.TrimSpace(text))
	}
	if err != nil {
		r.Refuse(key, "want PEM, or the path of a file with it that can be read: "+err.Error())
	}
	return data
}
