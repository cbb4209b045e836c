"""The clusters of this machine's profiles, as `ipcluster list` finds them."""

import json
import os

from ipcluster.cluster import Cluster, ipython_dir, run_program


def _name(profile_dir):
    """A profile's name if it is in IPython's folder; otherwise its folder."""
    prefix = str(ipython_dir() / "profile_")
    return profile_dir[len(prefix) :] if profile_dir.startswith(prefix) else profile_dir


class ClusterManager:
    """The clusters of this machine's profiles, by "PROFILE:CLUSTER-ID", the names that ipyparallel has for them.

    Example:
        >>> "default:" in ipcluster.ClusterManager().load_clusters()
        True
    """

    def __init__(self):
        self.clusters = {}

    def list_clusters(self, *, profile_dirs=None, profile_dir=None, profiles=None, profile=None):
        """What `ipcluster list --json` says, a dict for each cluster, with its sets of engines.

        Args:
            profile_dirs (list): folders of profiles.
            profile_dir (str): one.
            profiles (list): names of profiles.
            profile (str): one. If nothing is named, all in IPython's folder are listed.
        Returns:
            list: of dicts.
        Example:
            >>> {entry["state"] for entry in ipcluster.ClusterManager().list_clusters(profile="default")}
            {'running'}
        """
        named = [("profile-dir", os.fspath(one)) for one in profile_dirs or ([profile_dir] if profile_dir else [])]
        named += [("profile", one) for one in profiles or ([profile] if profile else [])]
        words = [[f"--{option}={value}"] for option, value in named] or [[]]
        return [entry for some in words for entry in json.loads(run_program("list", "--json", *some))]

    def load_clusters(self, *, init_default_clusters=False, **profiles):
        """Brings `clusters` up to date. Clusters that have ended are removed; those that were never started stay.

        Args:
            init_default_clusters (bool): True adds a cluster of the default profile that can be started, if the profile has none.
            profiles: as for `list_clusters()`.
        Returns:
            dict: `clusters`.
        Example:
            >>> clusters = ipcluster.ClusterManager().load_clusters(profile="default")
            >>> clusters["default:"].running
            True
        """
        running = {f"{_name(entry['profile_dir'])}:{entry['cluster_id']}": entry for entry in self.list_clusters(**profiles)
                   if not entry["engines_only"] and entry["state"] != "stopped"}  # fmt: skip
        self.clusters = {
            key: cluster for key, cluster in self.clusters.items() if key in running or not cluster.running
        }
        for key, entry in running.items():
            if key not in self.clusters:
                self.clusters[key] = Cluster(profile_dir=entry["profile_dir"], cluster_id=entry["cluster_id"])
            self.clusters[key].running = True
        if init_default_clusters and "default:" not in self.clusters:
            self.clusters["default:"] = Cluster(cluster_id="")
        return self.clusters

    def new_cluster(self, **options):
        """A cluster that was not started yet.

        Args:
            options: what Cluster takes.
        Returns:
            tuple: its key, and the Cluster.
        Raises:
            KeyError: there is one of this name already.
        Example:
            >>> ipcluster.ClusterManager().new_cluster(cluster_id="mine")
            ('default:mine', <Cluster mine: not running>)
        """
        cluster = Cluster(**options)
        key = f"{_name(str(cluster.connection_file.parents[1]))}:{cluster.cluster_id}"
        if key in self.clusters:
            raise KeyError(f"there is a cluster {key} already")
        self.clusters[key] = cluster
        return key, cluster

    def get_cluster(self, key):
        """The cluster of a key that `load_clusters()` or `new_cluster()` gave.

        Args:
            key (str): "PROFILE:CLUSTER-ID".
        Returns:
            Cluster: the cluster.
        Raises:
            KeyError: there is none.
        Example:
            >>> manager = ipcluster.ClusterManager()
            >>> key, mine = manager.new_cluster(cluster_id="mine")
            >>> manager.get_cluster(key) is mine
            True
        """
        return self.clusters[key]

    def remove_cluster(self, key):
        """Forgets a cluster. If it runs, it runs on.

        Args:
            key (str): "PROFILE:CLUSTER-ID".
        Raises:
            KeyError: there is none.
        Example:
            >>> manager = ipcluster.ClusterManager()
            >>> key, mine = manager.new_cluster(cluster_id="mine")
            >>> manager.remove_cluster(key)
        """
        del self.clusters[key]
