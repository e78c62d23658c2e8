/* EngineMain.java - one node of a real engine, from the jars of its modules, for tests.
 *
 * The engines' own start scripts are not in a Maven repository, and the runner whose jars we use
 * forces roles and ports on its nodes. So: a Node with the modules on the class path as plugins.
 * There is no bootstrap: no check for root, no security manager.
 *
 * Written for OpenSearch; engine.py compiles the same text for Elasticsearch with
 * `org.opensearch.` replaced by `org.elasticsearch.`.
 *
 *     java -cp "classes:lib/*" EngineMain HOME MODULE,MODULE... SETTING=VALUE...
 *
 * HOME/config must hold log4j2.properties. Modules are class names below the engine's package.
 * The process ends orderly on SIGTERM.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

public class EngineMain {
    /* The constructor that takes plugins from the class path is for subclasses only. */
    static class ClassPathNode extends Node {
        ClassPathNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
            super(environment, plugins, false);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Paths.get(args[0]).toAbsolutePath();
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String module : args[1].split(",")) {
            plugins.add(Class.forName("org.opensearch." + module).asSubclass(Plugin.class));
        }

        Settings.Builder settings = Settings.builder()
                .put("path.home", home)
                .put("path.data", home.resolve("data"))
                .put("path.logs", home.resolve("logs"));
        for (int i = 2; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        for (String folder : new String[] {"modules", "plugins", "logs", "data"}) {
            Files.createDirectories(home.resolve(folder));
        }

        String name = settings.get("node.name");
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
                settings.build(), Map.of(), home.resolve("config"), () -> name);
        LogConfigurator.setNodeName(name);
        LogConfigurator.configure(environment);

        Node node = new ClassPathNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        node.start();
        Thread.currentThread().join();
    }
}
