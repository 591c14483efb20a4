package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// parseURL parses the URL of a Redis. Its error contains no password.
func parseURL(text string) (rueidis.ClientOption, error) {
	parse := rueidis.ParseURL
	if scheme, _, _ := strings.Cut(text, "://"); strings.HasSuffix(scheme, sentinelSuffix) {
		parse = parseSentinelURL
	}
	opts, err := parse(text)
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // without the URL
	}
	return opts, err
}

const (
	sentinelSuffix = "+sentinel"
	sentinelPort   = "26379"
)

// parseSentinelURL parses the addresses of sentinels, which know the current master:
//
//	redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DATABASE]
//
// with the optional parameters sentinel_user and sentinel_password.
// rediss+sentinel:// uses TLS to all of them. User and password are for the master; the sentinels may have their own.
func parseSentinelURL(text string) (opts rueidis.ClientOption, err error) {
	scheme, rest, _ := strings.Cut(text, sentinelSuffix+"://")
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	i := strings.LastIndexByte(authority, '@') + 1
	user, hosts := authority[:i], strings.Split(authority[i:], ",")
	u, err := url.Parse(scheme + "://" + user + "sentinel" + path) // url.Parse accepts no list of hosts
	if err != nil {
		return opts, err
	}
	for _, host := range hosts {
		if host == "" {
			return opts, errors.New("a sentinel's address is missing: redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), sentinelPort)
		}
		opts.InitAddress = append(opts.InitAddress, host)
	}
	switch u.Scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} // the server name is that of each address
	default:
		return opts, fmt.Errorf("invalid URL scheme: %s%s", u.Scheme, sentinelSuffix)
	}
	opts.Username = u.User.Username()
	opts.Password, _ = u.User.Password()
	master, database, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if master == "" {
		return opts, errors.New("the name of the master is missing: redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
	}
	if database != "" {
		if opts.SelectDB, err = strconv.Atoi(database); err != nil || opts.SelectDB < 0 {
			return opts, fmt.Errorf("invalid database number: %q", database)
		}
	}
	opts.Sentinel = rueidis.SentinelOption{
		MasterSet: master, TLSConfig: opts.TLSConfig,
		Username: u.Query().Get("sentinel_user"), Password: u.Query().Get("sentinel_password"),
		TopologyRefreshInterval: 5 * time.Second, // in case the notification of a new master is lost
	}
	return opts, nil
}
