/* The example of the document this project grew from (its section on C), to the letter. */
#include "cis_skill.h" /* strlen; and the declarations below once more, which agree. */

#include <stdint.h>

// 声明 Host 函数
extern int64_t host_memory_get(int32_t key_ptr, int32_t key_len);
extern int32_t host_memory_set(int32_t key_ptr, int32_t key_len, 
                               int32_t val_ptr, int32_t val_len);
extern void host_log(int32_t level, int32_t msg_ptr, int32_t msg_len);

// 辅助函数：解码返回值
void decode_result(int64_t result, int32_t* ptr, int32_t* len) {
    *ptr = (int32_t)(result >> 32);
    *len = (int32_t)(result & 0xFFFFFFFF);
}

// 使用示例
void example() {
    // 设置记忆
    const char* key = "my_key";
    const char* value = "my_value";
    host_memory_set(
        (int32_t)key, strlen(key),
        (int32_t)value, strlen(value)
    );
    
    // 获取记忆
    int64_t result = host_memory_get((int32_t)key, strlen(key));
    int32_t ptr, len;
    decode_result(result, &ptr, &len);
    
    // 记录日志
    const char* msg = "Hello from WASM!";
    host_log(1, (int32_t)msg, strlen(msg));  // Info level
}
